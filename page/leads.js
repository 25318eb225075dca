// The limb leads that follow from I and II.

/** What I and II say of the other limb leads (Einthoven and Goldberger). */
const DERIVED = {
  III: (one, two) => two - one,
  aVR: (one, two) => -(one + two) / 2,
  aVL: (one, two) => one - two / 2,
  aVF: (one, two) => two - one / 2,
};

/**
 * Adds the limb leads that were not recorded and can be derived.
 *
 * Takes the samples of the recorded leads by name, in mV. Returns `{ leads, derived }`: the samples of all leads that are
 * known, and the names of those that were derived.
 */
export function complete(recorded) {
  const leads = { ...recorded };
  const derived = [];
  const { I: one, II: two } = recorded;
  for (const [name, of] of Object.entries(DERIVED)) {
    if (leads[name] || !one || !two) continue;
    leads[name] = one.map((sample, at) => of(sample, two[at]));
    derived.push(name);
  }
  return { leads, derived };
}

/** Returns the median of samples; 0 for none. It is near the isoelectric line, which an ECG keeps to most of the time. */
export function median(samples) {
  if (samples.length === 0) return 0;
  const sorted = Float32Array.from(samples).sort();
  return sorted[sorted.length >> 1];
}
