//! Macros that make an enum of operations from a list, and the sizes of an operation from the names of its fields.

/// Declares an enum of operations, with everything that differs between them by name alone.
///
/// Each line of the list is `module::Type`. The enum converts from each type, refers to it as an [`Operation`] and as a
/// [`GpuOperation`], and names it after its module. `nested` is a group of operations with a list of its own.
///
/// [`Operation`]: super::Operation
/// [`GpuOperation`]: super::GpuOperation
macro_rules! operations {
    (
        $(#[$meta:meta])*
        pub enum $enum:ident as $wrap:path {
            $($module:ident::$name:ident,)*
        }
        $(nested $(#[$nested_meta:meta])* $nested:ident($nested_type:path);)?
    ) => {
        $(pub use $module::$name;)*

        $(#[$meta])*
        #[derive(Debug, Clone, PartialEq)]
        #[allow(missing_docs, reason = "each variant is the operation of its name")]
        pub enum $enum {
            $($name($name),)*
            $($(#[$nested_meta])* $nested($nested_type),)?
        }

        impl $enum {
            /// Refers to the operation as every backend sees it.
            pub fn operation(&self) -> &dyn $crate::kernels::Operation {
                match self {
                    $(Self::$name(operation) => operation,)*
                    $($(#[$nested_meta])* Self::$nested(group) => group.operation(),)?
                }
            }

            /// Refers to the operation as a GPU sees it.
            pub fn on_gpu(&self) -> &dyn $crate::kernels::GpuOperation {
                match self {
                    $(Self::$name(operation) => operation,)*
                    $($(#[$nested_meta])* Self::$nested(group) => group.on_gpu(),)?
                }
            }

            /// Names the operation after its file, such as `conv1d`.
            pub fn name(&self) -> &'static str {
                match self {
                    $(Self::$name(_) => stringify!($module),)*
                    $($(#[$nested_meta])* Self::$nested(group) => group.name(),)?
                }
            }

            /// Changes the number of records. None if the operation does not have its sizes by name, or if its records
            /// depend on one another, as in training.
            pub fn with_batch(&self, batch: usize) -> Option<Self> {
                match self {
                    $(Self::$name(operation) => $crate::kernels::Operation::with_batch(operation, batch).map(Self::$name),)*
                    $($(#[$nested_meta])* Self::$nested(group) => group.with_batch(batch).map(Self::$nested),)?
                }
            }

            /// Reduces the channels, so that the weights are small and yet more than a variant takes at once: packing them
            /// shows the order in which a variant reads weights.
            pub fn with_few_channels(&self) -> Self {
                match self {
                    $(Self::$name(operation) => Self::$name($crate::kernels::Operation::with_few_channels(operation)),)*
                    $($(#[$nested_meta])* Self::$nested(group) => Self::$nested(group.with_few_channels()),)?
                }
            }

            /// Reads the sizes of the operation of a name, in the order of [`Operation::sizes`].
            ///
            /// [`Operation::sizes`]: crate::kernels::Operation::sizes
            pub fn from_sizes(name: &str, size: &mut dyn FnMut(&str) -> Option<usize>) -> Option<Self> {
                $(if name == stringify!($module) {
                    return <$name as $crate::kernels::Operation>::from_sizes(size).map(Self::$name);
                })*
                None
            }
        }

        $(
            impl From<$name> for $crate::kernels::Kernel {
                fn from(operation: $name) -> Self {
                    $wrap($enum::$name(operation))
                }
            }

            impl<'k> TryFrom<&'k $enum> for &'k $name {
                type Error = ();

                fn try_from(kernel: &'k $enum) -> Result<Self, ()> {
                    #[allow(unreachable_patterns, reason = "an enum may have one operation")]
                    match kernel {
                        $enum::$name(operation) => Ok(operation),
                        _ => Err(()),
                    }
                }
            }
        )*
    };
}
pub(super) use operations;

/// Defines [`Operation::sizes`], [`Operation::from_sizes`] and [`Operation::with_batch`] from the names of the fields, in
/// order. No field can be left out. `zero` names a size that may be 0, `flags` the fields that are bools.
///
/// [`Operation::sizes`]: super::Operation::sizes
/// [`Operation::from_sizes`]: super::Operation::from_sizes
/// [`Operation::with_batch`]: super::Operation::with_batch
macro_rules! sizes {
    ($($size:ident),* $(; zero { $($zero:ident),* } flags { $($flag:ident),* })?) => {
        fn sizes(&self) -> Vec<(&'static str, usize)> {
            let Self { $($size,)* $($($zero,)*)? $($($flag,)*)? } = *self;
            vec![
                $((stringify!($size), $size),)*
                $($((stringify!($zero), $zero),)*)?
                $($((stringify!($flag), usize::from($flag)),)*)?
            ]
        }

        fn from_sizes(size: &mut dyn FnMut(&str) -> Option<usize>) -> Option<Self> {
            Some(Self {
                $($size: size(stringify!($size)).filter(|&size| size > 0)?,)*
                $($($zero: size(stringify!($zero))?,)*)?
                $($($flag: size(stringify!($flag))? == 1,)*)?
            })
        }

        fn with_batch(&self, batch: usize) -> Option<Self> {
            Some(Self { batch, ..self.clone() })
        }
    };
}
pub(super) use sizes;
