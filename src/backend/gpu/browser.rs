//! What wgpu does not tell of a browser's WebGPU, from its objects themselves.

use wgpu::web_sys::{
    js_sys::{Reflect, global},
    wasm_bindgen::{JsValue, prelude::Closure},
};

/// Returns a property of an object, undefined if there is none.
fn property(of: &JsValue, name: &str) -> JsValue {
    Reflect::get(of, &name.into()).unwrap_or_default()
}

/// Whether there is a browser that describes its adapters of WebGPU. wgpu 30 panics outside of pages and workers, and fails
/// where the description is missing, as in older browsers.
pub(super) fn describes_adapters() -> bool {
    let global = global();
    let is_browser = ["Window", "WorkerGlobalScope"].iter().any(|name| !property(&global, name).is_undefined());
    let prototype = property(&property(&global, "GPUAdapter"), "prototype");
    is_browser && prototype.is_object() && Reflect::has(&prototype, &"info".into()).unwrap_or(false)
}

/// Returns what the browser says of a device's adapter: its vendor and architecture. None if it says nothing.
pub(super) fn vendor_and_architecture(device: &wgpu::Device) -> Option<String> {
    let info = property(device.as_webgpu()?.as_ref(), "adapterInfo");
    let known = ["vendor", "architecture"].map(|name| property(&info, name).as_string().unwrap_or_default());
    let known: Vec<String> = known.into_iter().filter(|text| !text.is_empty()).collect();
    (!known.is_empty()).then(|| known.join(", "))
}

/// Calls `handler` with the message of every error that no error scope catches. wgpu 30 itself panics at an internal error.
pub(super) fn on_uncaptured_error(device: &wgpu::Device, handler: impl Fn(&str) + 'static) {
    let Some(device) = device.as_webgpu() else { return };
    let closure = Closure::<dyn Fn(JsValue)>::new(move |event: JsValue| {
        let message = property(&property(&event, "error"), "message").as_string();
        handler(message.as_deref().unwrap_or("it reported an error without a message"));
    });
    // The browser owns the handler from here on. A device without it is used as well.
    let _ = Reflect::set(device.as_ref(), &"onuncapturederror".into(), &closure.into_js_value());
}
