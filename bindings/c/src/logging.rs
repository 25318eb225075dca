//! Messages of the library, passed to a function of the host.

use std::{
    ffi::{c_char, c_void},
    sync::{Once, PoisonError, RwLock},
};

use log::{Level, LevelFilter, Log, Metadata, Record};

use crate::{
    EcgpuStatus, caller,
    error::{Failure, guard, text},
};

/// Is called with each message: its level (1 error, 2 warning, 3 information, 4 debugging) and its text, which is valid during the call.
/// It may be called from any thread, also from several at once. Within it every call but ecgpu_version and ecgpu_last_error gives
/// ECGPU_STATUS_USAGE. It must not longjmp or throw.
pub type EcgpuLog = Option<unsafe extern "C" fn(level: u32, message: *const c_char, user: *mut c_void)>;

/// The host's function and what it gets.
struct Target {
    function: unsafe extern "C" fn(u32, *const c_char, *mut c_void),
    user: *mut c_void,
}

// SAFETY: the host promises that its function may be called from any thread, also several at once, with `user`.
unsafe impl Send for Target {}
// SAFETY: as above.
unsafe impl Sync for Target {}

static TARGET: RwLock<Option<Target>> = RwLock::new(None);

struct Forward;

impl Log for Forward {
    fn enabled(&self, _: &Metadata) -> bool {
        true
    }

    fn log(&self, record: &Record) {
        // Only what ecgpu says: what it depends on says much more.
        if !record.target().starts_with("ecgpu") {
            return;
        }
        let target = TARGET.read().unwrap_or_else(PoisonError::into_inner);
        if let Some(Target { function, user }) = &*target {
            let message = text(&record.args().to_string());
            let level = level(record.level());
            // SAFETY: the host gives a function of this type, and what `user` names is its own.
            caller::within_log_function(|| unsafe { function(level, message.as_ptr(), *user) });
        }
    }

    fn flush(&self) {}
}

fn level(level: Level) -> u32 {
    match level {
        Level::Error => 1,
        Level::Warn => 2,
        Level::Info => 3,
        Level::Debug | Level::Trace => 4,
    }
}

/// Sets the function that gets the library's messages up to a level (1 to 4); NULL for none, as at the start. `user` is passed to it. After the
/// return the earlier function is not called any more.
#[unsafe(no_mangle)]
pub unsafe extern "C" fn ecgpu_set_log(function: EcgpuLog, user: *mut c_void, up_to: u32) -> EcgpuStatus {
    guard(|| {
        let filter = match (function, up_to) {
            (None, _) => LevelFilter::Off,
            (Some(_), 1) => LevelFilter::Error,
            (Some(_), 2) => LevelFilter::Warn,
            (Some(_), 3) => LevelFilter::Info,
            (Some(_), 4) => LevelFilter::Debug,
            _ => return Err(Failure::usage(format!("a level of {up_to}"), "give 1 (errors) to 4 (debugging)")),
        };
        static ONCE: Once = Once::new();
        // Fails where another part of a Rust program has set a logger, which then gets the messages.
        ONCE.call_once(|| drop(log::set_logger(&Forward)));
        *TARGET.write().unwrap_or_else(PoisonError::into_inner) = function.map(|function| Target { function, user });
        log::set_max_level(filter);
        Ok(())
    })
}
