//! What turns states and the raw steps into quantiles: the part that fine-tuning trains.

use tch::nn::{self, Module as _};
use tch::{Device, Kind, Tensor};

use super::{Features, MEDIAN, NORMAL, P, Q, S, SUMMARY, Size, TAPS};

/// Trained in fine-tuning: turns states and the raw steps into quantiles.
#[derive(Debug)]
pub(in super::super) struct Head {
    store: nn::VarStore,
    pub(in super::super) conv: nn::Conv1D,
    pub(in super::super) film: nn::Linear,
    pub(in super::super) patch: nn::Linear,
    pub(in super::super) hidden: nn::Linear,
    pub(in super::super) out: nn::Linear,
    size: Size,
}

impl Head {
    /// A head that answers the bank with Gaussian bands.
    pub(in super::super) fn new(size: Size) -> Self {
        Self::on(Device::Cpu, size)
    }

    /// The same on a device.
    pub(in super::super) fn on(device: Device, size: Size) -> Self {
        let Size { width, channels, patch_features, hidden, .. } = size;
        let store = nn::VarStore::new(device);
        let root = store.root();
        let linear = |name: &str, from, to| nn::linear(&root / name, from, to, nn::LinearConfig::default());
        let head = Self {
            conv: nn::conv1d(&root / "conv", S + 5, channels, TAPS, nn::ConvConfig::default()),
            film: linear("film", width, 2 * channels),
            patch: linear("patch", width, P * patch_features),
            hidden: linear("hidden", channels + patch_features + SUMMARY, hidden),
            out: linear("out", hidden, Q),
            store,
            size,
        };
        tch::no_grad(|| {
            for (name, mut variable) in head.store.variables() {
                if name.starts_with("film") || name == "out.weight" {
                    let _ = variable.zero_();
                } else if name == "out.bias" {
                    variable.copy_(&Tensor::from_slice(&NORMAL).to_kind(Kind::Float));
                }
            }
        });
        head
    }

    /// Its variables.
    pub(in super::super) fn store(&self) -> &nn::VarStore {
        &self.store
    }

    /// Its variables, for loading.
    pub(in super::super) fn store_mut(&mut self) -> &mut nn::VarStore {
        &mut self.store
    }

    /// Its dimensions.
    pub(in super::super) fn size(&self) -> Size {
        self.size
    }

    /// Shape of its dropout mask.
    pub(in super::super) fn dropout_shape(&self, windows: usize, future: usize) -> [i64; 4] {
        self.size.dropout_shape(windows, future)
    }

    /// Shape of the dropout mask of its last layer alone: whole numbers of whole patches, too.
    pub(in super::super) fn last_dropout_shape(&self, windows: usize, future: usize) -> [i64; 4] {
        [windows as i64, future as i64 / P, 1, self.size.hidden]
    }

    /// Keeps only a share of how far the median is moved from the bank's answer; the quantiles keep their
    /// distances from it. Exact: every answer of a head is linear in its last layer.
    pub(in super::super) fn temper(&self, kept: f64) {
        tch::no_grad(|| {
            for variable in std::iter::once(&self.out.ws).chain(&self.out.bs) {
                let median = variable.narrow(0, MEDIAN as i64, 1).copy();
                let _ = variable.shallow_clone().g_sub_(&(median * (1.0 - kept)));
            }
        });
    }

    /// Corrections in units of the window's scale: `[batch, future, levels]`. `dropout` is the
    /// mask of [`Self::dropout_shape`], drawn by the caller so that its seed decides it: libtorch's own
    /// generator is one for the whole process.
    pub(in super::super) fn corrections(&self, features: &Features, dropout: Option<&Tensor>) -> Tensor {
        let size = features.state.size();
        let (b, n) = (size[0], size[1]);
        let Size { channels, patch_features, .. } = self.size;
        let steps = self.conv.forward(&features.steps).gelu("none").transpose(1, 2).reshape([b, n, P, channels]);
        let film = self.film.forward(&features.state).chunk(2, -1);
        let steps: Tensor = steps * (film[0].unsqueeze(2) + 1.0) + film[1].unsqueeze(2);
        let patch = self.patch.forward(&features.state).view([b, n, P, patch_features]);
        let summary = features.summary.view([b, 1, 1, SUMMARY]).expand([b, n, P, SUMMARY], false);
        let joined = Tensor::cat(&[steps, patch, summary], -1);
        let joined = match dropout {
            Some(mask) => joined * mask,
            None => joined,
        };
        self.out.forward(&self.hidden.forward(&joined).gelu("none")).reshape([b, n * P, Q])
    }
}
