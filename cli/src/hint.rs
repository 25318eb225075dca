//! The flags by which a user of the command line follows the library's hints.

use ecgpu::Hint;

/// Returns what to add to an error's remedy; none for a hint that no flag follows.
pub fn flag(hint: Hint) -> Option<&'static str> {
    Some(match hint {
        Hint::UseCpu => "--device cpu",
        Hint::UseReference => "--device reference",
        Hint::UseF32 => "--precision f32",
        Hint::MatchPrecision => "--precision",
        Hint::SmallerBatch => "--batch, or --device cpu",
        Hint::Retune => "`ecgpu tune` makes one for --tuning",
        Hint::Verify => "`ecgpu verify --device gpu`",
        Hint::StateUnit => "--unit, such as --unit uV",
        Hint::StateSamplingRate => "--sampling-rate",
        Hint::NameLeads => "--leads",
        Hint::Overwrite => "--force",
        Hint::NameOutput => "--out",
        Hint::NameEncoder => "`ecgpu finetune --from`",
        Hint::NameNetwork => "--network",
        Hint::Resume => "--resume, or --force to overwrite",
        Hint::NameCacheFolder => "--cache",
        Hint::NameUrl => "--url",
        _ => return None,
    })
}
