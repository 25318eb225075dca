// Where leads stand on a sheet of ECG paper, in millimetres.

/** Seconds on a sheet. */
export const SECONDS = 10;

/** The arrangements: leads column by column, and the distance of two rows. */
export const ARRANGEMENTS = {
  "3x4": {
    name: "3 × 4 + II",
    columns: [
      ["I", "II", "III"],
      ["aVR", "aVL", "aVF"],
      ["V1", "V2", "V3"],
      ["V4", "V5", "V6"],
    ],
    pitch: 35,
    rhythm: true,
  },
  "6x2": {
    name: "6 × 2 + II",
    columns: [
      ["I", "II", "III", "aVR", "aVL", "aVF"],
      ["V1", "V2", "V3", "V4", "V5", "V6"],
    ],
    pitch: 25,
    rhythm: true,
  },
  "12x1": {
    name: "12 × 1",
    columns: [["I", "II", "III", "aVR", "aVL", "aVF", "V1", "V2", "V3", "V4", "V5", "V6"]],
    pitch: 20,
    rhythm: false,
  },
};

/** Width of the calibration pulse with the baseline on both sides. */
const PULSE = 15;

/** The first baseline below the upper edge, and the lower edge below the last baseline: thick lines of the grid. */
const [ABOVE, BELOW] = [25, 20];

/** How far a trace may go from its baseline, so that an artefact does not cover the whole sheet. */
const REACH = 30;

/**
 * Arranges a sheet. `speed` is in mm/s, `gain` in mm/mV.
 *
 * Returns its size, the calibration pulses and the strips. A strip is a lead from `offset` seconds after the sheet's beginning
 * for `length` seconds: `left`, `width`, and `baseline` below the sheet's upper edge.
 */
export function arrange({ arrangement, speed, gain, rhythmLead = "II" }) {
  const { columns, pitch, rhythm } = ARRANGEMENTS[arrangement];
  const rows = columns[0].length + (rhythm ? 1 : 0);
  const baseline = (row) => ABOVE + pitch * row;
  const length = SECONDS / columns.length;
  const strip = (lead, row, offset, seconds) => ({
    lead,
    offset,
    length: seconds,
    left: PULSE + offset * speed,
    width: seconds * speed,
    baseline: baseline(row),
    rhythm: rhythm && row === rows - 1,
  });
  const strips = columns.flatMap((leads, column) => leads.map((lead, row) => strip(lead, row, column * length, length)));
  if (rhythm) strips.push(strip(rhythmLead, rows - 1, 0, SECONDS));
  return {
    width: PULSE + SECONDS * speed,
    height: ABOVE + pitch * (rows - 1) + BELOW,
    left: PULSE,
    reach: REACH,
    speed,
    gain,
    strips,
    pulses: Array.from({ length: rows }, (_, row) => baseline(row)),
  };
}
