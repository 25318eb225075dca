//! Writes SCP-ECG records as EN 1064 describes them, in every way of compression that a reader must undo. No established
//! library writes them.

/// How the numbers of a record are coded.
#[derive(Debug, Clone, Copy, PartialEq)]
pub enum Coding {
    /// As 16-bit numbers, without a section of tables.
    Plain,
    /// By the standard's own table.
    Default,
    /// By two tables in the record, the first for small numbers and the second for large ones.
    Own,
}

/// The beat that is subtracted: the samples of each lead, in steps, and the number of its fiducial sample, from 1.
#[derive(Debug, Clone)]
pub struct Reference {
    pub leads: Vec<Vec<i32>>,
    pub fiducial: u16,
}

/// A beat: its type, and its first, fiducial and last sample. The reference beat is subtracted from those of type 0.
#[derive(Debug, Clone, Copy)]
pub struct Beat(pub u16, pub u32, pub u32, pub u32);

/// A record to be written.
#[derive(Debug, Clone)]
pub struct Record {
    /// Code, first sample and samples, in steps, of each lead.
    pub leads: Vec<(u8, u32, Vec<i32>)>,
    pub nanovolts: u16,
    pub microseconds: u16,
    pub coding: Coding,
    pub differences: u8,
    /// How many samples outside the protected zones become one.
    pub factor: usize,
    pub reference: Option<Reference>,
    pub beats: Vec<Beat>,
    /// First and last sample of each zone that keeps all samples.
    pub protected: Vec<(u32, u32)>,
}

impl Record {
    /// Makes a record of leads that begin with sample 1, without any compression.
    pub fn plain(leads: Vec<(u8, Vec<i32>)>, nanovolts: u16, microseconds: u16) -> Self {
        Self {
            leads: leads.into_iter().map(|(code, samples)| (code, 1, samples)).collect(),
            nanovolts,
            microseconds,
            coding: Coding::Plain,
            differences: 0,
            factor: 1,
            reference: None,
            beats: Vec::new(),
            protected: Vec::new(),
        }
    }

    /// Returns the bytes of the file.
    pub fn bytes(&self) -> Vec<u8> {
        let compressed = self.reference.is_some() || self.factor > 1;
        // A patient's name, which no reader may keep.
        let patient = [&[0u8, 5, 0][..], b"Sando", &[255, 0, 0]].concat();
        let sections = [
            (1, Some(patient)),
            (2, self.tables()),
            (3, Some(self.definitions())),
            (4, compressed.then(|| self.places())),
            (5, compressed.then(|| self.reference())),
            (6, Some(self.rhythm())),
        ];
        record(&sections)
    }

    fn definitions(&self) -> Vec<u8> {
        let count = self.leads.len() as u8;
        let mut section = vec![count, u8::from(self.reference.is_some()) | 4 | count << 3];
        for (code, first, samples) in &self.leads {
            section.extend(first.to_le_bytes());
            section.extend((first + samples.len() as u32 - 1).to_le_bytes());
            section.push(*code);
        }
        section
    }

    fn tables(&self) -> Option<Vec<u8>> {
        let code = |prefix: u8, length: u8, mode: u8, base: i16, reversed: u32| {
            [&[prefix, length, mode][..], &base.to_le_bytes(), &reversed.to_le_bytes()].concat()
        };
        let number = |number: u16| number.to_le_bytes().to_vec();
        match self.coding {
            Coding::Plain => None,
            Coding::Default => Some(number(19_999)),
            Coding::Own => {
                let small = [code(1, 1, 1, 3, 0), code(2, 9, 1, 0, 0b01), code(3, 3, 0, 2, 0b011)].concat();
                let large = [code(1, 17, 1, 0, 0), code(1, 1, 0, 1, 1)].concat();
                Some([number(2), number(3), small, number(2), large].concat())
            }
        }
    }

    fn places(&self) -> Vec<u8> {
        let reference = self.reference.as_ref();
        let length = reference.map_or(0, |reference| reference.leads[0].len());
        let milliseconds = (length * usize::from(self.microseconds)).div_ceil(1000) as u16;
        let fiducial = reference.map_or(0, |reference| reference.fiducial);
        let count = self.beats.len().max(self.protected.len()) as u16;
        let mut section: Vec<u8> = [milliseconds, fiducial, count].into_iter().flat_map(u16::to_le_bytes).collect();
        for Beat(kind, first, fiducial, last) in &self.beats {
            section.extend(kind.to_le_bytes());
            [first, fiducial, last].into_iter().for_each(|sample| section.extend(sample.to_le_bytes()));
        }
        for (first, last) in &self.protected {
            [first, last].into_iter().for_each(|sample| section.extend(sample.to_le_bytes()));
        }
        section
    }

    fn reference(&self) -> Vec<u8> {
        let none = vec![Vec::new(); self.leads.len()];
        let leads = self.reference.as_ref().map_or(&none, |reference| &reference.leads);
        self.waves(self.microseconds, 0, leads)
    }

    fn rhythm(&self) -> Vec<u8> {
        let leads: Vec<Vec<i32>> = (0..self.leads.len()).map(|index| self.reduced(index)).collect();
        let microseconds = self.microseconds * self.factor as u16;
        self.waves(microseconds, u8::from(self.factor > 1), &leads)
    }

    /// Subtracts the reference beat from a lead, and reduces its sampling rate.
    fn reduced(&self, index: usize) -> Vec<i32> {
        let (_, first, mut samples) = self.leads[index].clone();
        let at = |sample: u32| (sample - first) as usize;
        if let Some(reference) = &self.reference {
            for Beat(_, begin, fiducial, end) in self.beats.iter().filter(|beat| beat.0 == 0) {
                for sample in *begin..=*end {
                    let within = usize::from(reference.fiducial) - 1 + at(sample) - at(*fiducial);
                    samples[at(sample)] -= reference.leads[index][within];
                }
            }
        }
        let mut stored = Vec::new();
        let mut rest = 0;
        let mean = |group: &[i32]| match group.len() == self.factor {
            true => vec![(f64::from(group.iter().sum::<i32>()) / self.factor as f64).round() as i32],
            false => group.to_vec(),
        };
        for (begin, end) in self.protected.iter().filter(|_| self.factor > 1) {
            stored.extend(samples[rest..at(*begin)].chunks(self.factor).flat_map(mean));
            stored.extend(&samples[at(*begin)..=at(*end)]);
            rest = at(*end) + 1;
        }
        stored.extend(samples[rest..].chunks(self.factor).flat_map(mean));
        stored
    }

    fn waves(&self, microseconds: u16, reduced: u8, leads: &[Vec<i32>]) -> Vec<u8> {
        let leads: Vec<Vec<u8>> = leads.iter().map(|samples| self.coded(&self.differences(samples))).collect();
        let mut section = [self.nanovolts, microseconds].into_iter().flat_map(u16::to_le_bytes).collect::<Vec<u8>>();
        section.extend([self.differences, reduced]);
        leads.iter().for_each(|lead| section.extend((lead.len() as u16).to_le_bytes()));
        leads.into_iter().for_each(|lead| section.extend(lead));
        section
    }

    fn differences(&self, samples: &[i32]) -> Vec<i32> {
        let order = usize::from(self.differences);
        let difference = |at: usize| match order {
            _ if at < order => samples[at],
            0 => samples[at],
            1 => samples[at] - samples[at - 1],
            _ => samples[at] - 2 * samples[at - 1] + samples[at - 2],
        };
        (0..samples.len()).map(difference).collect()
    }

    fn coded(&self, numbers: &[i32]) -> Vec<u8> {
        let mut bits = match self.coding {
            Coding::Plain => return numbers.iter().flat_map(|number| (*number as i16).to_le_bytes()).collect(),
            Coding::Default => numbers.iter().map(|number| default_code(*number)).collect::<String>(),
            Coding::Own => numbers.iter().map(|number| own_code(*number)).collect(),
        };
        // Whole 16-bit words.
        bits.extend(std::iter::repeat_n('0', bits.len().next_multiple_of(16) - bits.len()));
        let bit = |(at, bit): (usize, &u8)| (bit - b'0') << (7 - at);
        bits.as_bytes().chunks(8).map(|byte| byte.iter().enumerate().map(bit).sum()).collect()
    }
}

fn default_code(number: i32) -> String {
    match number {
        0 => "0".into(),
        -8..=8 => format!("{}0{}", "1".repeat(number.unsigned_abs() as usize), u8::from(number < 0)),
        -128..=127 => format!("1111111110{:08b}", number as u8),
        _ => format!("1111111111{:016b}", number as u16),
    }
}

fn own_code(number: i32) -> String {
    match number {
        3 => "0".into(),
        -64..=63 => format!("10{:07b}", number as u8 & 0x7F),
        // To the second table, and back to the first.
        _ => format!("1100{:016b}1", number as u16),
    }
}

/// Joins sections to a record with its checksums. Sections without contents are missing in it.
pub fn record(sections: &[(u16, Option<Vec<u8>>)]) -> Vec<u8> {
    let find = |number: u16| sections.iter().find(|(other, _)| *other == number)?.1.as_ref();
    // The standard demands pointers to twelve sections, whether they are there or not.
    let mut position = 6 + 16 + 10 * 12;
    let pointer = |number: u16, length: usize, position: usize| {
        [&number.to_le_bytes()[..], &(length as u32).to_le_bytes(), &(position as u32).to_le_bytes()].concat()
    };
    let mut pointers = pointer(0, position - 6, 7);
    let mut contents = Vec::new();
    for number in 1..12 {
        let bytes = find(number).map(|data| section(number, b"\0\0\0\0\0\0", data)).unwrap_or_default();
        pointers.extend(pointer(number, bytes.len(), if bytes.is_empty() { 0 } else { position + 1 }));
        position += bytes.len();
        contents.extend(bytes);
    }
    let mut bytes = [vec![0; 2], (position as u32).to_le_bytes().to_vec(), section(0, b"SCPECG", &pointers), contents];
    let checksum = crc(&bytes.concat()[2..]);
    bytes[0] = checksum.to_le_bytes().to_vec();
    bytes.concat()
}

fn section(number: u16, reserved: &[u8], data: &[u8]) -> Vec<u8> {
    let padding = vec![0; data.len() % 2];
    let length = (16 + data.len() + padding.len()) as u32;
    let rest = [&number.to_le_bytes()[..], &length.to_le_bytes(), &[20, 20], reserved, data, &padding].concat();
    [&crc(&rest).to_le_bytes()[..], &rest].concat()
}

/// Computes the checksum bit by bit, with the polynomial x¹⁶ + x¹² + x⁵ + 1.
pub fn crc(bytes: &[u8]) -> u16 {
    let step = |crc: u16| if crc & 0x8000 == 0 { crc << 1 } else { crc << 1 ^ 0x1021 };
    bytes.iter().fold(0xFFFF, |crc, byte| (0..8).fold(crc ^ u16::from(*byte) << 8, |crc, _| step(crc)))
}
