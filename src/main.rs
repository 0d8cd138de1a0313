//! x
fn main() {
    tch::set_num_threads(1);
    let _ = tch::Tensor::zeros([2], (tch::Kind::Float, tch::Device::Cpu));
}
