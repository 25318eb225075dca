//! The examination of a machine: a right device, a slow one, and drivers that crash or hang.

use std::process::Command;

use ecgpu_testing::{has_gpu, skip};

use crate::support::{Folder, assert_one_line, assert_usage, command, objects, outcome, run};

#[test]
fn a_right_device_gets_a_report_without_paths_and_names() {
    let folder = Folder::new();
    let path = folder.path("report.md");
    let examined = outcome(command(&["doctor", "--device", "cpu", "--report", &path]).env("USER", "somebody"));
    assert_eq!(examined.code, 0, "{}{}", examined.stdout, examined.stderr);
    assert!(
        examined.stdout.contains("Everything agrees with the float64 reference."),
        "{}{}",
        examined.stdout,
        examined.stderr
    );

    let report = std::fs::read_to_string(&path).unwrap();
    for part in
        ["| stages, f32 | agrees |", "| training step | agrees |", "| 1 × 10 s, f32 |", "## A row for the table"]
    {
        assert!(report.contains(part), "'{part}' is not in\n{report}");
    }
    for private in ["somebody", &folder.path(""), env!("CARGO_MANIFEST_DIR")] {
        assert!(!report.contains(private), "'{private}' is in\n{report}");
    }
    let json = report.split("```").nth(1).unwrap().strip_prefix("json").unwrap();
    let object: serde_json::Value = serde_json::from_str(json).unwrap();
    assert_eq!((&object["passed"], &object["devices"][0]["device"]["device"]), (&true.into(), &"cpu".into()));
    // The file that is there is not lost.
    assert_usage(&["doctor", "--device", "cpu", "--report", &path], "is there already");
}

#[test]
fn a_device_that_gives_no_answer_is_left_alone_after_the_second_time() {
    if !has_gpu() {
        return;
    }
    // No adapter of this kind compiles the shaders in a second, and a faster one passes.
    let examined = run(&["doctor", "--device", "gpu:0", "--limit", "1", "--json"]);
    let device = &objects(&examined.stdout)[0]["devices"][0];
    let timeouts = device["checks"].as_array().unwrap().iter().filter(|it| it["detail"] == "no answer within 1 s");
    match timeouts.count() {
        0 | 1 => assert!(device["left_out"].is_null(), "{device}"),
        count => {
            assert_eq!((count, examined.code), (2, 1));
            assert!(device["left_out"].as_str().unwrap().contains("no answer twice"), "{device}");
        }
    }
}

#[test]
fn a_device_that_does_not_exist_is_a_request_without_sense() {
    assert_usage(&["doctor", "--device", "gpu:99"], "there is no device 'gpu:99'");
    assert_one_line(&run(&["doctor", "--device", "cpu", "--report", "no such folder/x.md"]), 1, "no such folder");
}

/// A driver that fails while adapters are listed is named, and the others are examined without it.
#[test]
#[cfg(target_os = "linux")]
fn a_driver_that_crashes_or_hangs_is_named() {
    let folder = Folder::new();
    let mut manifests = Vec::new();
    for (name, body) in [("crashes", "abort();"), ("hangs", "for (;;) sleep(1);")] {
        let source = folder.with(
            &format!("{name}.c"),
            format!(
                "#include <stdlib.h>\n#include <unistd.h>\n__attribute__((constructor)) static void load(void) {{ {body} }}\n"
            ),
        );
        let library = folder.path(&format!("{name}.so"));
        let compiled = Command::new("cc").args(["-shared", "-fPIC", "-o", &library, &source]).status();
        if !compiled.is_ok_and(|status| status.success()) {
            return skip("no C compiler for the driver");
        }
        let manifest = format!(
            r#"{{ "file_format_version": "1.0.0", "ICD": {{ "library_path": "{library}", "api_version": "1.3.0" }} }}"#
        );
        manifests.push(folder.with(&format!("{name}_icd.json"), manifest));
    }
    let doctor = &mut command(&["doctor", "--device", "cpu", "--limit", "5", "--json"]);
    let examined = outcome(doctor.env("VK_DRIVER_FILES", manifests.join(":")));
    let object = &objects(&examined.stdout)[0];
    let driver =
        |at: usize| [&object["drivers"][at]["check"], &object["drivers"][at]["detail"]].map(|it| it.as_str().unwrap());
    assert_eq!(driver(0), ["crashes_icd.json", "the driver crashed the program (signal 6)"]);
    assert_eq!(driver(1), ["hangs_icd.json", "no answer within 5 s"]);
    assert_eq!((object["devices"][0]["checks"][0]["verdict"].as_str(), examined.code), (Some("agrees"), 1));
    assert!(!examined.stdout.contains(&folder.path("")), "{}", examined.stdout);
}
