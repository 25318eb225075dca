//! The devices that are listed and measured, and those that do not exist.

use serde_json::Value;

use crate::support::{Folder, assert_one_line, assert_usage, command, objects, outcome, printed, run};

#[test]
fn the_devices_are_listed() {
    let text = printed(&["devices"]);
    assert!(text.contains("\ncpu  ") || text.starts_with("cpu  "), "{text}");
    let devices = objects(&printed(&["devices", "--json"]));
    let [.., cpu, reference] = &devices[..] else { panic!("{devices:?}") };
    assert_eq!((&cpu["device"], &reference["device"]), (&"cpu".into(), &"reference".into()));
    for (index, gpu) in devices[..devices.len() - 2].iter().enumerate() {
        assert_eq!(gpu["device"], format!("gpu:{index}"));
        assert!(gpu["limits"]["max_storage_buffer_binding_size"].as_u64().unwrap() > 0, "{gpu}");
    }
}

#[test]
fn the_devices_are_measured_when_asked_for() {
    let devices = objects(&printed(&["devices", "--measure", "--json"]));
    let [measured @ .., reference] = &devices[..] else { panic!("{devices:?}") };
    assert!(reference.get("measured").is_none() && devices.len() > 1, "{reference}");
    let points: Vec<&Value> = measured.iter().flat_map(|device| device["measured"].as_array().unwrap()).collect();
    for batch in [1, 8, 32, 128] {
        let of_batch: Vec<_> = points.iter().filter(|point| point["batch"] == batch).collect();
        let time = |point: &Value| point["median_ms"].as_f64().unwrap();
        let least = of_batch.iter().map(|point| time(point)).fold(f64::INFINITY, f64::min);
        for point in of_batch {
            assert_eq!(point["fastest"], time(point) == least, "{point}");
            let per_second = f64::from(batch) / time(point) * 1e3;
            assert!((point["records_per_s"].as_f64().unwrap() / per_second - 1.0).abs() < 1e-9, "{point}");
        }
    }
    assert!(points.iter().filter(|point| point["fastest"] == true).count() >= 2, "{points:?}");
}

#[test]
fn a_device_that_does_not_exist_is_explained() {
    assert_one_line(&run(&["classify", "--device", "no such device"]), 1, "there is no device 'no such device'");
    assert_one_line(&run(&["verify", "--device", "gpu:99"]), 1, "there is no gpu:99");
    assert_usage(&["classify", "--device", "gpu:x"], "'gpu:x' names no device: use a number, as in gpu:0");
    assert_usage(&["classify", "--device", ""], "an empty device name: use auto");
}

/// There is no driver, or not even the library that finds drivers.
#[test]
#[cfg(target_os = "linux")]
fn without_a_driver_the_cpu_is_used() {
    let folder = Folder::new();
    for name in ["libvulkan.so", "libvulkan.so.1"] {
        folder.with(name, "");
    }
    let libraries = folder.path("");
    for (variable, value) in [("VK_DRIVER_FILES", "/nonexistent"), ("LD_LIBRARY_PATH", &libraries)] {
        let on = |device: &str| outcome(command(&["classify", "--json", "--device", device]).env(variable, value));
        assert_one_line(&on("gpu"), 1, "no Vulkan, Metal or DX12 driver offers an adapter: install one");
        let auto = on("auto");
        assert_eq!((auto.code, auto.stderr.as_str()), (0, ""));
        assert_eq!(objects(&auto.stdout)[0]["backend"], "cpu");
        let devices = outcome(command(&["devices"]).env(variable, value));
        assert!(devices.code == 0 && devices.stderr.starts_with("note: no GPU"), "{}", devices.stderr);
    }
}
