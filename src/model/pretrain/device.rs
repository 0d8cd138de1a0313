//! Where a network learns: on the processor, or on a GPU.

use std::fmt;
use std::process::Command;
use std::str::FromStr;

use tch::{Cuda, Device};

use super::PretrainError;

/// A device by the name that libtorch's users know.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Place {
    /// `cpu`: reproducible bit for bit.
    #[default]
    Cpu,
    /// `cuda:N`; `cuda` is the first.
    Cuda(usize),
}

impl FromStr for Place {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        let number = match text {
            "cpu" => return Ok(Self::Cpu),
            "cuda" => Some(0),
            _ => text.strip_prefix("cuda:").and_then(|number| number.parse().ok()),
        };
        number.map(Self::Cuda).ok_or_else(|| "a device is cpu, cuda or cuda:N".to_owned())
    }
}

impl fmt::Display for Place {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Cpu => f.write_str("cpu"),
            Self::Cuda(number) => write!(f, "cuda:{number}"),
        }
    }
}

impl Place {
    /// The device, if this machine and this build of libtorch have it.
    pub(super) fn open(self) -> Result<Device, PretrainError> {
        let Self::Cuda(number) = self else { return Ok(Device::Cpu) };
        let count = if Cuda::is_available() { Cuda::device_count() } else { 0 };
        if number as i64 >= count {
            return Err(PretrainError::NoDevice(self, count));
        }
        Ok(Device::Cuda(number))
    }

    /// What the driver calls a GPU, where it can be asked.
    pub(super) fn gpu(self) -> Option<String> {
        let Self::Cuda(number) = self else { return None };
        let said = Command::new("nvidia-smi")
            .args(["--query-gpu=name", "--format=csv,noheader", "--id"])
            .arg(number.to_string())
            .output()
            .ok()
            .filter(|said| said.status.success())?;
        let name = String::from_utf8_lossy(&said.stdout).trim().to_owned();
        (!name.is_empty()).then_some(name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_device_is_said_as_it_is_shown_and_nothing_else_is_one() {
        for (text, place) in [("cpu", Place::Cpu), ("cuda:0", Place::Cuda(0)), ("cuda:3", Place::Cuda(3))] {
            assert_eq!(text.parse(), Ok(place));
            assert_eq!(place.to_string(), text);
        }
        assert_eq!("cuda".parse(), Ok(Place::Cuda(0)));
        for wrong in ["", "gpu", "cuda:", "cuda:-1", "cuda:x", "CPU"] {
            assert!(wrong.parse::<Place>().is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_gpu_that_is_not_there_is_refused_by_name() {
        let none = Place::Cuda(97);
        let error = none.open().unwrap_err();
        assert!(matches!(error, PretrainError::NoDevice(place, count) if place == none && count <= 97));
        assert!(error.to_string().starts_with("there is no device cuda:97"), "{error}");
        assert_eq!(none.gpu(), None);
    }
}
