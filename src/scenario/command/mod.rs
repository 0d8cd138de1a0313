//! The role `what-if`: asks a running server, prints a table, draws a chart.
//!
//! Speaks the same API as everybody else and knows nothing of the database, so it works from any
//! machine that reaches the server.

mod client;
mod picture;
mod table;
mod words;

use std::path::PathBuf;

use serde_json::{Map, Value, json};

use self::client::{Answer, ClientError};
use self::words::{Change, Limit};
use crate::access::Secret;

/// The answer is there, and every constraint that was given is kept.
pub const KEPT: u8 = 0;
/// The arguments cannot be understood.
pub const USAGE: u8 = 2;
/// The answer is there, but the scenario does not keep a constraint.
pub const NOT_KEPT: u8 = 3;
/// The server refused, and said why.
pub const REFUSED: u8 = 4;
/// The server could not be reached, or gave no answer that can be read.
pub const UNREACHABLE: u8 = 5;
/// The chart could not be written.
pub const NOT_WRITTEN: u8 = 6;

const EXIT_CODES: &str = "Exit codes:
  0  answered, and every constraint is kept
  2  the arguments cannot be understood
  3  answered, but the scenario does not keep a constraint
  4  the server refused, and said why
  5  the server could not be reached, or gave no answer that can be read
  6  the chart could not be written

Examples:
  counterpart what-if tank-1 --set pump=0.5
  counterpart what-if tank-1 --ramp valve=0.9@10 --hold pump --horizon 60 --constraint 'level<9.5'
  counterpart what-if tank-1 --set pump=0.8@5..20 --svg what-if.svg
  counterpart what-if tank-1 --set pump=0.5 --url https://twin.example --ca plant-ca.pem";

/// Ask a running server what would be if inputs were set otherwise.
#[derive(Clone, Debug, clap::Args)]
#[command(after_help = EXIT_CODES)]
pub struct Command {
    /// Key of the asset.
    pub asset: String,

    /// Set an input to a value, for all steps or for some: pump=0.5, pump=0.5@10.., pump=0.5@10..20.
    #[arg(long, value_name = "SIGNAL=VALUE[@FROM..TO]", value_parser = words::set)]
    pub set: Vec<Change>,

    /// Ramp an input to a value and hold it there: valve=0.9@10 reaches it after 10 steps.
    #[arg(long, value_name = "SIGNAL=VALUE@STEPS", value_parser = words::ramp)]
    pub ramp: Vec<Change>,

    /// Add to what an input would be.
    #[arg(long, value_name = "SIGNAL=VALUE[@FROM..TO]", value_parser = words::add)]
    pub add: Vec<Change>,

    /// Multiply what an input would be.
    #[arg(long, value_name = "SIGNAL=VALUE[@FROM..TO]", value_parser = words::multiply)]
    pub multiply: Vec<Change>,

    /// Hold an input where it stands.
    #[arg(long, value_name = "SIGNAL[@FROM..TO]", value_parser = words::hold)]
    pub hold: Vec<Change>,

    /// Allow disturbances to be supposed otherwise, too.
    #[arg(long)]
    pub assume: bool,

    /// Bring values within the limits and ramp rates of the asset, and say where, rather than refuse.
    #[arg(long)]
    pub clamp: bool,

    /// Steps ahead.
    #[arg(long, value_name = "STEPS")]
    pub horizon: Option<usize>,

    /// From a past instant (RFC 3339) instead of now.
    #[arg(long, value_name = "INSTANT")]
    pub as_of: Option<String>,

    /// Sample paths that constraints are judged on.
    #[arg(long, value_name = "COUNT")]
    pub samples: Option<usize>,

    /// Decides the sample paths.
    #[arg(long, value_name = "NUMBER")]
    pub seed: Option<u64>,

    /// A limit on an input or output, such as level<9.5 or level>1. Mind the shell: quote it.
    #[arg(long, value_name = "SIGNAL<VALUE", value_parser = words::limit)]
    pub constraint: Vec<Limit>,

    /// Probability with which every constraint is to be kept over the horizon.
    #[arg(long, value_name = "PROBABILITY", default_value_t = 0.95)]
    pub probability: f64,

    /// Where the server is; over https its certificate is checked.
    #[arg(long, env = "COUNTERPART_SCENARIO_URL", default_value = "http://127.0.0.1:8080", value_parser = client::server)]
    pub url: hyper::Uri,

    /// A file of certificates (PEM) that the server's own may be signed with, beside those that the system trusts.
    #[arg(long, env = "COUNTERPART_SCENARIO_CA_FILE", value_name = "FILE")]
    pub ca: Option<PathBuf>,

    /// A key for a server that asks for one. The environment hides it from other users of this machine.
    #[arg(long, env = "COUNTERPART_KEY", hide_env_values = true, value_name = "KEY", value_parser = words::key)]
    pub key: Option<Secret>,

    /// Draw baseline and scenario into an SVG file.
    #[arg(long, value_name = "FILE")]
    pub svg: Option<PathBuf>,

    /// Print the server's answer as it is instead of a table.
    #[arg(long)]
    pub json: bool,
}

/// What the role has to say, and how it ends.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Said {
    /// For the standard output.
    pub output: String,
    /// For the standard error.
    pub complaint: String,
    /// One of the exit codes of this module.
    pub code: u8,
}

impl Command {
    /// The request. Paths are wanted for nothing but constraints, which the server draws by itself.
    fn request(&self) -> Value {
        // In the order of the flags' help, which is the order in which they take effect.
        let changes = [&self.set, &self.ramp, &self.add, &self.multiply, &self.hold];
        let overrides: Vec<Value> = changes.into_iter().flatten().map(|change| change.json(self.assume)).collect();
        let constraints: Vec<Value> = self.constraint.iter().map(|limit| limit.json(self.probability)).collect();
        let mut request = Map::new();
        request.insert("scenarios".to_owned(), json!([{"name": "what-if", "overrides": overrides}]));
        request.insert("quantiles".to_owned(), json!([0.1, 0.5, 0.9]));
        for (name, value) in [
            ("horizon", json!(self.horizon)),
            ("as_of", json!(self.as_of)),
            ("samples", json!(self.samples)),
            ("seed", json!(self.seed)),
            ("limits", if self.clamp { json!("clamp") } else { Value::Null }),
            ("constraints", if constraints.is_empty() { Value::Null } else { json!(constraints) }),
        ] {
            if !value.is_null() {
                request.insert(name.to_owned(), value);
            }
        }
        Value::Object(request)
    }
}

/// The role `what-if`: never fails, but says with which code to end.
pub async fn run(command: &Command) -> Said {
    let complain = |code: u8, complaint: String| Said { output: String::new(), complaint, code };
    let path = format!("/v1/assets/{}/what-if", words::escaped(&command.asset));
    let Answer { status, body } = match client::post(
        &command.url,
        command.ca.as_deref(),
        &path,
        command.key.as_ref(),
        &command.request(),
    )
    .await
    {
        Ok(answer) => answer,
        Err(ClientError::Trust(error)) => return complain(USAGE, error.to_string()),
        Err(error) => return complain(UNREACHABLE, format!("{}: {error}", command.url)),
    };
    if status != 200 {
        return match words::refusal(status, &body) {
            Some(refusal) => complain(REFUSED, refusal),
            None => {
                complain(UNREACHABLE, format!("{}: answers {status}, but not as a counterpart server", command.url))
            }
        };
    }
    let Some(outcome) = serde_json::from_slice::<Value>(&body).ok().filter(|value| value["scenarios"][0].is_object())
    else {
        return complain(UNREACHABLE, format!("{}: the answer is no what-if", command.url));
    };
    let output = if command.json { String::from_utf8_lossy(&body).into_owned() + "\n" } else { table::of(&outcome) };
    if let Some(file) = &command.svg
        && let Err(error) = tokio::fs::write(file, picture::draw(&outcome)).await
    {
        return Said { output, complaint: format!("{}: {error}", file.display()), code: NOT_WRITTEN };
    }
    let kept =
        outcome["scenarios"][0]["constraints"].as_array().is_none_or(|all| all.iter().all(|one| one["met"] == true));
    Said { output, complaint: String::new(), code: if kept { KEPT } else { NOT_KEPT } }
}
