//! A small folder like PTB-XL's, with synthetic ECGs and invented patients.

use std::{
    fmt::Write,
    fs,
    path::{Path, PathBuf},
};

use ecgpu::{
    Recording,
    ecg::{Condition, format::Writer, synthesize},
};
use sha2::{Digest, Sha256};
use tempfile::TempDir;

/// A row of `ptbxl_database.csv`, whose fields are text.
#[derive(Clone)]
pub struct Row {
    pub ecg_id: String,
    pub patient_id: String,
    pub scp_codes: String,
    pub fold: String,
    pub path: String,
}

pub struct PtbXl {
    folder: TempDir,
    pub rows: Vec<Row>,
}

/// The statements that records cycle through, and the synthetic condition that shows each.
const STATEMENTS: [(&str, Condition); 6] = [
    ("{'NORM': 100.0, 'SR': 0.0}", Condition::Norm),
    ("{'IMI': 0.0, 'SR': 0.0}", Condition::MiInferior),
    ("{'NDT': 50.0}", Condition::Sttc),
    ("{'LVH': 100.0, 'ISC_': 35.0}", Condition::Hyp),
    ("{'CLBBB': 100.0}", Condition::CdLbbb),
    ("{'SR': 0.0}", Condition::Norm),
];

const TABLE: &str = "\
,description,diagnostic,form,rhythm,diagnostic_class,diagnostic_subclass
NORM,normal ECG,1.0,,,NORM,NORM
IMI,\"inferior, myocardial infarction\",1.0,,,MI,IMI
NDT,non-diagnostic T abnormalities,1.0,1.0,,STTC,STTC
ISC_,non-specific ischemic,1.0,,,STTC,ISC_
LVH,left ventricular hypertrophy,1.0,,,HYP,LVH
CLBBB,complete left bundle branch block,1.0,,,CD,CLBBB
SR,sinus rhythm,,,1.0,,
";

impl PtbXl {
    /// Writes a number of records with the ids 1, 2, … in the folds 1, 2, …, 10, 1, …
    pub fn new(records: usize) -> Self {
        let row = |n: usize| Row {
            ecg_id: (n + 1).to_string(),
            patient_id: format!("{}.0", 1000 + n / 20 * 10 + n % 10),
            scp_codes: STATEMENTS[n % STATEMENTS.len()].0.into(),
            fold: (n % 10 + 1).to_string(),
            path: format!("records100/00000/{:05}_lr", n + 1),
        };
        let copy = Self { folder: TempDir::new().unwrap(), rows: (0..records).map(row).collect() };
        fs::create_dir_all(copy.path().join("records100/00000")).unwrap();
        for (n, row) in copy.rows.iter().enumerate() {
            let ecg = synthesize(STATEMENTS[n % STATEMENTS.len()].1, n as u64, 100.0, 10.0).unwrap();
            let header = copy.header(&row.path);
            Writer::of(&header).unwrap().write(&in_whole_microvolts(&ecg), &header, &[]).unwrap();
        }
        fs::write(copy.path().join("scp_statements.csv"), TABLE).unwrap();
        copy.write_table();
        copy
    }

    pub fn path(&self) -> &Path {
        self.folder.path()
    }

    pub fn header(&self, record: &str) -> PathBuf {
        self.path().join(record).with_extension("hea")
    }

    pub fn samples(&self, record: &str) -> PathBuf {
        self.path().join(record).with_extension("dat")
    }

    /// Writes the table of the current rows.
    pub fn write_table(&self) {
        let mut text = String::from("ecg_id,patient_id,age,scp_codes,strat_fold,filename_lr,filename_hr\n");
        for Row { ecg_id, patient_id, scp_codes, fold, path } in &self.rows {
            let high = path.replace("100", "500").replace("_lr", "_hr");
            writeln!(text, "{ecg_id},{patient_id},50.0,\"{scp_codes}\",{fold},{path},{high}").unwrap();
        }
        fs::write(self.path().join("ptbxl_database.csv"), text).unwrap();
    }

    /// Lists the paths of all files, relative to the folder, without the list of checksums.
    pub fn files(&self) -> Vec<String> {
        let of_record = |row: &Row| ["hea", "dat"].map(|extension| format!("{}.{extension}", row.path));
        let tables = ["ptbxl_database.csv", "scp_statements.csv"].map(String::from);
        tables.into_iter().chain(self.rows.iter().flat_map(of_record)).collect()
    }

    /// Computes `SHA256SUMS.txt` of the current files.
    pub fn checksums(&self) -> String {
        let mut text = String::new();
        for file in self.files() {
            for byte in Sha256::digest(fs::read(self.path().join(&file)).unwrap()) {
                write!(text, "{byte:02x}").unwrap();
            }
            writeln!(text, " {file}").unwrap();
        }
        text
    }
}

/// Rounds a recording to whole microvolts, the steps of PTB-XL.
fn in_whole_microvolts(ecg: &Recording) -> Recording {
    let rounded = |signal: &[f32]| signal.iter().map(|x| (x * 1000.0).round() / 1000.0).collect();
    let leads = ecg.leads().map(|(lead, signal)| (lead, rounded(signal))).collect();
    Recording::new(ecg.name(), ecg.sampling_rate(), leads).expect("the leads of a recording, rounded")
}
