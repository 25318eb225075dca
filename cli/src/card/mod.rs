//! `ecgpu card`: a model card in the format of the Hugging Face Hub.

mod evaluation;
mod front_matter;
mod sections;

use std::path::{Path, PathBuf};

use ecgpu::{
    Error, ErrorKind, Result, Weights,
    engine::{files, network::file_of},
    hub::Reference,
};

use self::evaluation::Evaluation;
use crate::{
    SUCCESS, check_free,
    terminal::{GOOD, clean, note, print},
    weights, weights_to_choose,
};

/// The licence of the weights that come with the program.
const OWN_LICENSE: &str = "apache-2.0";

/// What the Hub calls a licence that is not known.
const UNKNOWN_LICENSE: &str = "unknown";

/// Write a model card for the Hugging Face Hub
///
/// A README.md with the metadata that the Hub reads, how to use the weights, their input contract, classes and thresholds,
/// provenance and, from the JSON of `ecgpu evaluate`, results with their intervals. Without an evaluation the card says that
/// there is none.
#[derive(clap::Args)]
#[command(after_help = "\
Examples:
  ecgpu card model.safetensors --repository owner/name --license apache-2.0 --out README.md
  ecgpu evaluate --data ptb-xl --fold 10 --weights model.safetensors --json > evaluation.json
  ecgpu card model.safetensors --repository owner/name --evaluation evaluation.json --out README.md
  ecgpu card 55k                                 on standard output")]
pub struct Arguments {
    #[arg(value_name = "WEIGHTS", help = weights_to_choose())]
    weights: PathBuf,
    /// The file to write; standard output if absent
    #[arg(long, value_name = "README.md")]
    out: Option<PathBuf>,
    /// The JSON that `ecgpu evaluate --json` printed for these weights
    #[arg(long, value_name = "FILE.json")]
    evaluation: Option<PathBuf>,
    /// The repository that the card is for
    #[arg(long, value_name = "OWNER/NAME")]
    repository: Option<String>,
    /// The licence of the weights, as the Hub calls it, such as apache-2.0 or cc-by-4.0
    #[arg(long, value_name = "LICENSE", value_parser = license)]
    license: Option<String>,
    /// Overwrite an existing file
    #[arg(long)]
    force: bool,
}

/// What a card is made of.
struct Card {
    weights: Weights,
    /// The repository, if it is known.
    repository: Option<Reference>,
    license: String,
    evaluation: Option<Evaluation>,
}

impl Card {
    /// Returns the repository as it stands in commands.
    fn repository(&self) -> String {
        self.repository.as_ref().map_or("OWNER/NAME".into(), Reference::repository)
    }

    /// Returns the title: the name of the repository, or else that of the network.
    fn title(&self) -> String {
        match &self.repository {
            Some(repository) => {
                repository.repository().split_once('/').map_or_else(String::new, |(_, name)| name.into())
            }
            None => format!("ecgpu {}", self.weights.network.name),
        }
    }

    /// Returns whether the weights were trained on PTB-XL, as far as they say.
    fn is_of_ptb_xl(&self) -> bool {
        self.weights.contract.provenance.contains("PTB-XL")
    }
}

pub fn run(arguments: &Arguments) -> Result<u8> {
    let Arguments { out, force, .. } = arguments;
    check_free(&out.iter().map(PathBuf::as_path).collect::<Vec<_>>(), *force)?;
    let repository = match &arguments.repository {
        Some(name) => Some(repository(name)?),
        None => Reference::of_path(&arguments.weights)?,
    };
    let own = file_of(&arguments.weights).is_some();
    let weights = weights::open(&arguments.weights, false)?;
    weights.notes.iter().for_each(|text| note(text));
    let license = arguments.license.clone().unwrap_or(if own { OWN_LICENSE } else { UNKNOWN_LICENSE }.into());
    if license == UNKNOWN_LICENSE {
        note("the card says that the licence is unknown; --license states it");
    }
    let evaluation = arguments.evaluation.as_deref().map(|path| Evaluation::read(path, &weights)).transpose()?;
    let card = Card { weights, repository, license, evaluation };
    let text = front_matter::text(&card) + &sections::text(&card);
    let Some(path) = out else {
        print(&text);
        return Ok(SUCCESS);
    };
    write(path, &text)
}

fn write(path: &Path, text: &str) -> Result<u8> {
    files::write(path, text.as_bytes())?;
    print(&format!("{GOOD}{}{GOOD:#}, {} bytes\n", clean(&path.display().to_string()), text.len()));
    Ok(SUCCESS)
}

/// Reads the name of a repository.
fn repository(name: &str) -> Result<Reference> {
    let parsed = format!("hf:{name}").parse().ok();
    parsed.filter(|parsed: &Reference| parsed.repository() == name).ok_or_else(|| {
        let cause = format!("--repository '{name}' is no name of a repository");
        Error::new(ErrorKind::Usage, cause, "write OWNER/NAME, such as heart-lab/ecg-542k")
    })
}

/// Reads the identifier of a licence.
fn license(text: &str) -> std::result::Result<String, String> {
    let plain = text.bytes().all(|byte| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"-.".contains(&byte));
    if plain && !text.is_empty() {
        Ok(text.into())
    } else {
        Err("use an identifier of the Hub, such as apache-2.0".into())
    }
}
