//! The commands that train: what they write, how they resume, and what they refuse.

use std::fs;
use std::io::{BufRead, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};

use ecgpu::Weights;
use ecgpu_testing::{Program, ptb_xl::PtbXl};
use tempfile::TempDir;

const PROGRAM: Program = Program::new(env!("CARGO_BIN_EXE_ecgpu"), &[]);

/// Runs the program, which must succeed. Returns its standard output.
fn succeeds(arguments: &[&str]) -> String {
    PROGRAM.succeeds(arguments).0
}

/// A small folder like PTB-XL's, and a folder for what a test writes.
struct Place {
    copy: PtbXl,
    folder: TempDir,
}

impl Place {
    fn new(records: usize) -> Self {
        Self { copy: PtbXl::new(records), folder: TempDir::new().unwrap() }
    }

    fn path(&self, name: &str) -> String {
        self.folder.path().join(name).display().to_string()
    }

    /// Adds the options that make a command quick: the small network, crops of one second, batches of eight.
    fn quick<'a>(&'a self, command: &[&'a str], out: &'a str, more: &[&'a str]) -> Vec<&'a str> {
        let data = self.copy.path().to_str().unwrap();
        let quick =
            ["--data", data, "--out", out, "--network", "55k", "--crop", "1", "--batch", "8", "--device", "cpu"];
        [command, &quick, more].concat()
    }
}

/// Starts a command and waits until its first epoch has ended.
fn after_an_epoch(arguments: &[&str]) -> Child {
    let mut child =
        PROGRAM.command(arguments).arg("--json").stdout(Stdio::piped()).stderr(Stdio::piped()).spawn().unwrap();
    let mut line = String::new();
    BufReader::new(child.stdout.as_mut().unwrap()).read_line(&mut line).unwrap();
    assert!(line.contains("\"epoch\":1"), "{line}");
    child
}

#[test]
fn statements_and_teachers_help_in_training_and_leave_a_network_of_the_classes() {
    let place = Place::new(260);
    let [teacher, student] = ["teacher.safetensors", "student.safetensors"].map(|name| place.path(name));
    let train = |out: &str, more: &[&str]| {
        succeeds(&place.quick(&["train"], out, &[&["--epochs", "1", "--ema", "0.9"], more].concat()))
    };
    train(&teacher, &["--width", "2", "--statements", "0.3"]);
    let wide = Weights::from_path(&teacher).unwrap();
    assert_eq!(wide.parameters.iter().find(|(name, _)| *name == "encoder.0.weight").unwrap().1.shape, [64, 12, 7]);
    assert_eq!(wide.network.classes(), 5);
    train(&student, &["--teacher", &teacher, "--teacher-share", "0.7", "--demographics", "0.5"]);
    assert_eq!(Weights::from_path(&student).unwrap().network.classes(), 5);
    let provenance = Weights::from_path(&student).unwrap().contract.provenance;
    assert!(
        provenance.contains("with 1 teachers, seed 42, ecgpu ") && provenance.contains(", settings "),
        "{provenance}"
    );
    let x = place.path("x");
    PROGRAM.fails(&place.quick(&["train"], &x, &["--teacher", &place.path("absent")]), 1, "absent");
    for (more, named) in [
        (&["--width", "9"][..], "9 times the width"),
        (&["--statements", "-1"], "statements of weight -1"),
        (&["--demographics", "nan"], "demographics of weight NaN"),
        (&["--ema", "1"], "an average of the weights with decay 1"),
        (&["--statements", "0.3", "--label-fraction", "0.2"], "of which the training records have too few"),
    ] {
        PROGRAM.fails(&place.quick(&["train"], &x, more), 2, named);
    }
    PROGRAM.fails(&place.quick(&["finetune"], &x, &["--from", &teacher]), 2, "an encoder of another width than 1");
}

#[test]
fn a_record_learns_from_the_teachers_that_were_not_trained_on_it() {
    let place = Place::new(260);
    let train = |name: &str, more: &[&str]| {
        let out = place.path(name);
        succeeds(&place.quick(&["train"], &out, &[&["--epochs", "1"], more].concat()));
        out
    };
    let unseen = train("unseen.safetensors", &["--hold-out", "1,2,3,4"]);
    let provenance = Weights::from_path(&unseen).unwrap().contract.provenance;
    assert!(provenance.contains("folds 1 to 8 without 1 and 2 and 3 and 4, "), "{provenance}");
    let seen = train("seen.safetensors", &[]);
    // Learns from folds 1 to 4 alone, which one of the teachers was trained on.
    let student = |name: &str, teachers: &[&str]| {
        let arguments = [&["--hold-out", "5", "6", "7", "8", "--teacher-share", "1", "--teacher"], teachers].concat();
        Weights::from_path(train(name, &arguments)).unwrap().parameters
    };
    let alone = student("alone.safetensors", &[&unseen]);
    assert_eq!(alone, student("both.safetensors", &[&seen, &unseen]));
    assert_ne!(alone, student("all.safetensors", &[&seen]));
    let x = place.path("x");
    PROGRAM.fails(&place.quick(&["train"], &x, &["--hold-out", "9"]), 2, "fold 9 held out, which no run learns from");
    let all = ["--hold-out", "1,2,3,4,5,6,7,8"];
    PROGRAM.fails(&place.quick(&["train"], &x, &all), 2, "no training record outside the folds that are held out");
}

#[test]
fn a_comparison_is_reported_and_goes_on_where_it_was_stopped() {
    let place = Place::new(260);
    let (data, out) = (place.copy.path().to_str().unwrap(), place.path("comparison"));
    let arguments = ["reproduce", "--data", data, "--out", &out, "--network", "55k", "--crop", "1", "--epochs", "1"];
    let arguments = [&arguments[..], &["--label-fraction", "0.5", "--seeds", "2", "--device", "cpu"]].concat();
    let text = succeeds(&arguments);
    assert!(text.contains("12 of 12: random-50pct-seed43") && text.contains("50 % of the labels, fold 10:"), "{text}");
    let read = |name: &str| fs::read_to_string(Path::new(&out).join(name)).unwrap();
    let report = read("report.md");
    for part in
        ["| SimCLR | 0.", "| random encoder, frozen | 0.", "simclr-encoder-seed42", "kind = \"byol\"", "SHA-256"]
    {
        assert!(report.contains(part), "{part} in {report}");
    }
    let networks = |text: &str| serde_json::from_str::<serde_json::Value>(text).unwrap()["networks"].clone();
    let first = networks(&read("report.json"));
    assert_eq!(first.as_array().unwrap().len(), 8);
    // One run is lost, and only this one is trained again, with the same result.
    fs::remove_file(Path::new(&out).join("byol-50pct-seed43.json")).unwrap();
    let again = networks(&succeeds(&[&arguments[..], &["--json"]].concat()));
    for (first, again) in first.as_array().unwrap().iter().zip(again.as_array().unwrap()) {
        assert_eq!(first["auroc"], again["auroc"]);
        assert_eq!(first["run"] == again["run"], first["name"] != "byol-50pct-seed43");
    }
    PROGRAM.fails(&["reproduce", "--data", data, "--out", &out, "--label-fraction", "2"], 2, "a label fraction of 2");
    PROGRAM.fails(&["reproduce", "--data", data, "--out", &out, "--network", "9k"], 2, "no network is called '9k'");
    PROGRAM.fails(&["reproduce", "--data", data, "--out", &out, "--fold", "11"], 2, "no labelled record in fold 11");
    PROGRAM.fails(&["reproduce", "--data", data, "--out", &out, "--network", "55k"], 1, "started with other settings");
}

#[test]
fn a_user_trains_on_a_table_of_own_records_with_own_classes() {
    let place = Place::new(60);
    let mut table = String::from("file,labels,fold,patient\n");
    for (n, row) in place.copy.rows.iter().enumerate() {
        let path = place.copy.header(&row.path).display().to_string();
        let (label, fold) = (["AF", "PVC", "AF; PVC", ""][n % 4], if n % 5 == 0 { "validation" } else { "train" });
        table += &format!("{path},{label},{fold},patient {}\n", n / 2);
    }
    let (file, model) = (place.path("table.csv"), place.path("model.safetensors"));
    fs::write(&file, table).unwrap();
    let arguments = ["train", "--data", &file, "--out", &model, "--network", "55k", "--batch", "8", "--epochs", "1"];
    let (code, out, error) = PROGRAM.outcome(&[&arguments[..], &["--device", "cpu", "--label-fraction", "1"]].concat());
    assert!(code == 0 && out.contains("on fold 9: AF 0.") && out.contains(" PVC 0."), "{out}{error}");
    assert!(error.contains("WARNING: ") && error.contains("of 30 patients have records in several folds"), "{error}");
    assert_eq!(Weights::from_path(&model).unwrap().contract.classes, ["AF", "PVC"]);
    let record = place.copy.header(&place.copy.rows[0].path).display().to_string();
    assert!(succeeds(&["classify", &record, "--weights", &model, "--device", "cpu"]).contains("PVC"));
    PROGRAM.fails(&["train", "--data", &place.path("none.csv"), "--out", &place.path("x")], 1, "none.csv");
    let demographics = ["train", "--data", &file, "--out", &place.path("x"), "--demographics", "1"];
    PROGRAM.fails(&demographics, 2, "age and sex as targets, which no training record states");
}

#[test]
fn a_user_pre_trains_fine_tunes_and_classifies() {
    let place = Place::new(120);
    let [encoder, model, probe] =
        ["encoder.safetensors", "model.safetensors", "probe.safetensors"].map(|name| place.path(name));
    for method in ["byol", "simclr"] {
        succeeds(&place.quick(&["pretrain", method], &encoder, &["--epochs", "1", "--force"]));
    }
    let record = place.copy.header("records100/00000/00009_lr").display().to_string();
    PROGRAM.fails(
        &["classify", &record, "--weights", &encoder],
        1,
        "an encoder from pre-training, which has no classes yet",
    );
    let finetune = |from: &str, out: &str, more: &[&str]| {
        let arguments = [&["--from", from, "--epochs", "2"], more].concat();
        succeeds(&place.quick(&["finetune"], out, &arguments))
    };
    let text = finetune(&encoder, &model, &[]);
    assert!(text.contains("epoch   2/2") && text.contains("macro AUROC"), "{text}");
    succeeds(&["classify", &record, "--weights", &model, "--device", "cpu"]);
    let weights = Weights::from_path(&model).unwrap();
    assert!(weights.notes.is_empty() && weights.contract.thresholds == [0.5; 5] && weights.contract.deviation == 0.235);
    let provenance = &weights.contract.provenance;
    for part in ["folds 1 to 8, 100 % of the labels", "fine-tuned, on random windows of 1 s", "pre-trained by SimCLR"] {
        assert!(provenance.contains(part), "{provenance}");
    }
    let auroc = provenance.split("macro AUROC ").nth(1).and_then(|rest| rest.split(' ').next());
    let auroc: f64 = auroc.and_then(|auroc| auroc.parse().ok()).unwrap_or_else(|| panic!("{provenance}"));
    assert!(auroc > 0.0 && auroc <= 1.0, "{provenance}");
    // Starts from a whole network, whose encoder does not change.
    finetune(&model, &probe, &["--freeze-encoder"]);
    let probe = Weights::from_path(&probe).unwrap();
    for (name, tensor) in weights.parameters.iter() {
        assert_eq!(*tensor.values == *probe.parameters.values(name).unwrap(), name.starts_with("encoder."), "{name}");
    }
    let run = place.folder.path().join("model.run");
    let mut files: Vec<String> =
        fs::read_dir(&run).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
    files.sort();
    assert_eq!(files, ["best.safetensors", "config.toml", "curves.svg", "last.safetensors", "lock", "log.jsonl"]);
    assert_eq!(fs::read_to_string(run.join("log.jsonl")).unwrap().lines().count(), 2);
    // The settings that the run wrote give the same network again.
    let again = place.path("again.safetensors");
    let config = run.join("config.toml").display().to_string();
    succeeds(&["finetune", "--config", &config, "--out", &again]);
    assert_eq!(fs::read(&model).unwrap(), fs::read(&again).unwrap());
}

#[test]
fn a_killed_run_resumes_and_ends_with_the_same_file() {
    let place = Place::new(60);
    let [whole, killed] = ["whole.safetensors", "killed.safetensors"].map(|name| place.path(name));
    let more = ["--epochs", "40", "--augment", "noise,mixup"];
    succeeds(&place.quick(&["train"], &whole, &more));
    let mut child = after_an_epoch(&place.quick(&["train"], &killed, &more));
    std::thread::sleep(std::time::Duration::from_millis(u64::from(std::process::id() % 60)));
    child.kill().unwrap();
    child.wait().unwrap();
    let run = place.path("killed.run");
    PROGRAM.fails(&place.quick(&["train"], &killed, &more), 2, "holds a run already");
    PROGRAM.fails(&["train", "--resume", &run, "--batch", "4"], 2, "batch is 4, was 8");
    succeeds(&["train", "--resume", &run]);
    assert_eq!(fs::read(&whole).unwrap(), fs::read(&killed).unwrap());
}

#[test]
fn a_folder_in_use_is_refused() {
    let place = Place::new(60);
    let out = place.path("out.safetensors");
    let more = ["--epochs", "1000"];
    let mut child = after_an_epoch(&place.quick(&["train"], &out, &more));
    let run = place.path("out.run");
    PROGRAM.fails(&place.quick(&["train"], &out, &["--epochs", "1", "--force"]), 2, "another run uses this folder");
    PROGRAM.fails(&["train", "--resume", &run], 2, "another run uses this folder");
    child.kill().unwrap();
    child.wait().unwrap();
    succeeds(&place.quick(&["train"], &out, &["--epochs", "1", "--force"]));
}

#[test]
#[cfg(unix)]
fn ctrl_c_saves_the_run_and_prints_how_to_resume() {
    let place = Place::new(60);
    let [whole, stopped] = ["whole.safetensors", "stopped.safetensors"].map(|name| place.path(name));
    let more = ["--epochs", "60"];
    let child = after_an_epoch(&place.quick(&["train"], &stopped, &more));
    assert!(Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap().success());
    let output = child.wait_with_output().unwrap();
    let error = String::from_utf8(output.stderr).unwrap();
    let run = place.path("stopped.run");
    assert_eq!(output.status.code(), Some(130), "{error}");
    assert!(error.contains(&format!("ecgpu train --resume {run}")), "{error}");
    assert!(!Path::new(&stopped).exists());
    succeeds(&["train", "--resume", &run]);
    succeeds(&place.quick(&["train"], &whole, &more));
    assert_eq!(fs::read(&whole).unwrap(), fs::read(&stopped).unwrap());
}

#[test]
fn bad_requests_are_refused_before_anything_is_written() {
    let place = Place::new(60);
    let (out, missing) = (place.path("out.safetensors"), place.path("missing"));
    let train = |more: &[&str], code, named: &str| PROGRAM.fails(&place.quick(&["train"], &out, more), code, named);
    train(&["--label-fraction", "0.02"], 1, "none of them with class");
    train(&["--label-fraction", "0"], 2, "a label fraction of 0");
    train(&["--learning-rate", "0"], 2, "a learning rate of 0");
    train(&["--learning-rate", "-1"], 2, "a learning rate of -1");
    train(&["--learning-rate", "NaN"], 2, "a learning rate of NaN");
    train(&["--epochs", "0"], 2, "0 epochs");
    train(&["--weight-decay", "-1"], 2, "a weight decay of -1");
    train(&["--clip", "0"], 2, "gradients clipped at 0");
    train(&["--loss", "mse"], 2, "use one of focal, bce");
    let data = place.copy.path().to_str().unwrap();
    let plain = |more: &[&str], code, named: &str| {
        PROGRAM.fails(
            &[&["train", "--data", data, "--out", &out, "--network", "55k", "--device", "cpu"], more].concat(),
            code,
            named,
        );
    };
    plain(&["--crop", "11", "--batch", "8"], 2, "crops of 1100 samples from records of 1000");
    plain(&["--crop", "0.02", "--batch", "8"], 1, "no output");
    plain(&["--crop", "-1", "--batch", "8"], 2, "crops of -1 s");
    plain(&["--batch", "1"], 2, "batch norm");
    plain(&["--batch", "1000"], 2, "batches of 1000 from");
    plain(&["--threads", "0", "--batch", "8"], 2, "threads");
    PROGRAM.fails(&["pretrain", "simclr", "--data", data, "--out", &out, "--batch", "1", "--network", "55k"], 2, "");
    for temperature in ["0", "-0.1", "NaN"] {
        let arguments =
            ["pretrain", "simclr", "--data", data, "--out", &out, "--batch", "8", "--temperature", temperature];
        PROGRAM.fails(&arguments, 2, "a temperature of");
    }
    PROGRAM.fails(
        &["pretrain", "byol", "--data", data, "--out", &out, "--batch", "8", "--momentum", "2"],
        2,
        "a momentum of 2",
    );
    PROGRAM.fails(&["finetune", "--data", data, "--out", &out, "--batch", "8"], 2, "--from");
    PROGRAM.fails(&["finetune", "--data", data, "--out", &out, "--from", &missing], 1, "missing");
    PROGRAM.fails(&["train", "--data", &missing, "--out", &out], 1, "ptbxl_database.csv");
    PROGRAM.fails(&["train", "--out", &out], 2, "--data");
    PROGRAM.fails(&["train", "--data", data], 2, "--out");
    PROGRAM.fails(&["train", "--resume", &missing], 1, "name the folder of a run");
    PROGRAM.fails(&["train", "--config", data, "--out", &out], 1, data);
    assert_eq!(fs::read_dir(place.folder.path()).unwrap().count(), 0, "nothing is written");
    // Existing files stay.
    fs::write(&out, "precious").unwrap();
    train(&[], 2, "is there already");
    assert_eq!(fs::read(&out).unwrap(), b"precious");
    // Weights of another network.
    let full = concat!(env!("CARGO_MANIFEST_DIR"), "/../weights/ssl-ecg-542k.safetensors");
    let other = place.path("other.safetensors");
    PROGRAM.fails(&place.quick(&["finetune"], &other, &["--from", full]), 2, "an encoder of network 542k, not 55k");
    // A record whose file is cut off.
    let samples = place.copy.samples("records100/00000/00003_lr");
    fs::write(&samples, &fs::read(&samples).unwrap()[..100]).unwrap();
    PROGRAM.fails(&place.quick(&["train"], &other, &[]), 1, "record 3");
}

#[test]
fn help_shows_how_to_call_each_command() {
    for command in [&["train"][..], &["finetune"], &["pretrain", "simclr"], &["pretrain", "byol"]] {
        let text = succeeds(&[command, &["--help"]].concat());
        let call = format!("ecgpu {} --data ptb-xl", command.join(" "));
        assert!(text.contains("Examples:") && text.contains(&call) && text.contains("--resume"), "{text}");
    }
}
