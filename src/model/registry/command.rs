//! The role `base`: makes of what `counterpart pretrain` wrote what `POST /v1/base-models` takes.

use std::path::{Path, PathBuf};

use super::golden::{Golden, Input};
use super::manifest::NewBaseModel;
use crate::model::choice::{BaseChoice, BaseFileError};
use crate::model::engine::EngineError;
use crate::model::trainee;

/// How far another machine's answer may be from ours, in deviations: rounding alone comes to a hundredth of it.
const TOLERANCE: f64 = 1e-4;

/// What to do with base models.
#[derive(Clone, Debug, clap::Subcommand)]
pub enum Command {
    /// Pack the weights and the card that `counterpart pretrain` wrote, with a golden answer of this machine,
    /// into the document that `POST /v1/base-models` takes.
    Pack {
        /// FILE.safetensors; its card lies beside it as FILE.json.
        file: PathBuf,
        /// What asset types will name it. Default: the name of its card.
        #[arg(long)]
        name: Option<String>,
        /// Where to write. Default: FILE.base.json beside the weights.
        #[arg(long)]
        out: Option<PathBuf>,
    },
}

/// Why nothing was packed.
#[derive(Debug, thiserror::Error)]
pub enum CommandError {
    /// The file is no base model.
    #[error(transparent)]
    File(#[from] BaseFileError),
    /// It answers nothing.
    #[error("the base model gave no answer")]
    Answer(#[from] EngineError),
    /// A server would refuse it.
    #[error("a server would refuse it: {0}")]
    Refused(String),
    /// The document cannot be written.
    #[error("{} cannot be written", path.display())]
    Write {
        /// Where.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// Does what is asked; what there is to say.
pub fn run(command: &Command) -> Result<String, CommandError> {
    let Command::Pack { file, name, out } = command;
    let new = pack(file, name.as_deref())?;
    let (name, parameters) = (new.card.name.clone(), new.card.parameters);
    let path = out.clone().unwrap_or_else(|| file.with_extension("base.json"));
    let text = serde_json::to_vec(&new).map_err(std::io::Error::from);
    let written = text.and_then(|text| std::fs::write(&path, text));
    written.map_err(|source| CommandError::Write { path: path.clone(), source })?;
    let shown = path.display();
    Ok(format!(
        "{shown}: the base model {name}, {parameters} weights. It is added by\n\
         curl -X POST http://localhost:8080/v1/base-models -H 'content-type: application/json' --data-binary @{shown}\n"
    ))
}

/// The document of a file, seen to have no fault that can be found here.
pub fn pack(file: &Path, name: Option<&str>) -> Result<NewBaseModel, CommandError> {
    let choice = BaseChoice::read(file)?;
    let base = choice.load().map_err(EngineError::Base)?;
    let window = Input::USUAL.window();
    let answers = trainee::answer(&base, None, &[&window])?;
    let golden = Golden::of(Input::USUAL, answers.first().ok_or(EngineError::NotFinite)?, TOLERANCE);
    let mut new = NewBaseModel::of(&choice, golden);
    if let Some(name) = name {
        name.clone_into(&mut new.card.name);
    }
    let words = |fault: crate::web::problem::FieldError| format!("{} {}", fault.pointer, fault.detail);
    new.clone()
        .check()
        .map_err(|faults| CommandError::Refused(faults.into_iter().map(words).collect::<Vec<_>>().join("; ")))?;
    Ok(new)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::base::{WEIGHTS, shipped_card};

    #[test]
    fn what_pretraining_wrote_becomes_one_document_with_its_answer() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("own.safetensors");
        std::fs::write(&file, WEIGHTS).unwrap();
        std::fs::write(folder.path().join("own.json"), serde_json::to_vec(&shipped_card()).unwrap()).unwrap();
        let command = |name: &str| Command::Pack { file: file.clone(), name: Some(name.to_owned()), out: None };
        let said = run(&command("mine")).unwrap();
        assert!(said.contains("own.base.json: the base model mine, 588613 weights"), "{said}");
        let text = std::fs::read(folder.path().join("own.base.json")).unwrap();
        let new: NewBaseModel = serde_json::from_slice(&text).unwrap();
        let checked = new.check().unwrap();
        let base = checked.choice.load().unwrap();
        let answers = trainee::answer(&base, None, &[&checked.golden.input.window()]).unwrap();
        assert_eq!(checked.golden.objection(&answers[0]), None);
        let refused = run(&command("auto")).unwrap_err().to_string();
        assert!(refused.contains("/card/name"), "{refused}");
    }
}
