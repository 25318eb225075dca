//! The time at which runs begin and end.

#[cfg(not(target_family = "wasm"))]
pub(super) use std::time::Instant;

#[cfg(target_family = "wasm")]
pub(super) use browser::Instant;

/// WebAssembly has no clock of its own.
#[cfg(target_family = "wasm")]
mod browser {
    use std::time::Duration;

    use wgpu::web_sys::js_sys::Date;

    /// A point in time, to the millisecond, by the browser's clock.
    #[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
    pub(in crate::backend::gpu) struct Instant(Duration);

    impl Instant {
        pub(in crate::backend::gpu) fn now() -> Self {
            Self(Duration::from_millis(Date::now() as u64))
        }

        pub(in crate::backend::gpu) fn saturating_duration_since(self, earlier: Self) -> Duration {
            self.0.saturating_sub(earlier.0)
        }
    }
}
