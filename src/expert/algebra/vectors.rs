//! Sums of products, and what is made of them without blocks, for the long vectors of a processor that has them.
//!
//! Sums have a fixed number of strands, so a processor with longer vectors finds the same bits.

use faer::Mat;

/// The inner product.
pub(in super::super) fn dot(a: &[f64], b: &[f64]) -> f64 {
    stranded::<4>(a, b)
}

/// The sum, in strands as [`dot`] has them.
pub(in super::super) fn total(a: &[f64]) -> f64 {
    let (some, rest) = a.as_chunks::<4>();
    let mut strands = [0.0; 4];
    some.iter().for_each(|x| (0..4).for_each(|k| strands[k] += x[k]));
    strands.iter().sum::<f64>() + rest.iter().sum::<f64>()
}

/// Strands that fill the long vectors of a processor that has them.
const WIDE: usize = 16;

/// The inner product, summed in strands so that the processor can overlap them.
#[expect(clippy::inline_always, reason = "only what is inlined is compiled for long vectors")]
#[inline(always)]
fn stranded<const N: usize>(a: &[f64], b: &[f64]) -> f64 {
    let mut strands = [0.0; N];
    let (some_a, rest_a) = a.as_chunks::<N>();
    let (some_b, rest_b) = b.as_chunks::<N>();
    for (x, y) in some_a.iter().zip(some_b) {
        for k in 0..N {
            strands[k] += x[k] * y[k];
        }
    }
    let rest: f64 = rest_a.iter().zip(rest_b).map(|(x, y)| x * y).sum();
    strands.chunks_exact(2).map(|two| two[0] + two[1]).sum::<f64>() + rest
}

/// Solves `L L' x = b` in place, `L` being the lower triangle of `factor`.
pub(in super::super) fn substitute(factor: &Mat<f64>, b: &mut [f64]) {
    pulp::Arch::new().dispatch(Substitute { factor, b });
}

/// Adds `sum x(t) x(t - lag)`, over all `t` from `from` and from the lag on, to the sum of each lag from 0 on.
pub(in super::super) fn add_lagged(x: &[f64], from: usize, sums: &mut [f64]) {
    pulp::Arch::new().dispatch(AddLagged { x, from, sums });
}

/// A symmetric matrix, of which the lower triangle is given, times a vector.
pub(in super::super) fn times(lower: &Mat<f64>, vector: &[f64]) -> Vec<f64> {
    pulp::Arch::new().dispatch(Times { lower, vector })
}

/// A function that is compiled for the long vectors of a processor that has them, as those below: a closure is only where
/// it is short enough to be inlined.
struct Substitute<'a> {
    factor: &'a Mat<f64>,
    b: &'a mut [f64],
}

struct AddLagged<'a> {
    x: &'a [f64],
    from: usize,
    sums: &'a mut [f64],
}

struct Times<'a> {
    lower: &'a Mat<f64>,
    vector: &'a [f64],
}

impl pulp::NullaryFnOnce for Substitute<'_> {
    type Output = ();

    #[expect(clippy::inline_always, reason = "only what is inlined is compiled for long vectors")]
    #[inline(always)]
    fn call(self) {
        let Self { factor, b } = self;
        for j in 0..b.len() {
            let column = &factor.col_as_slice(j)[j..b.len()];
            let (head, tail) = b[j..].split_at_mut(1);
            head[0] /= column[0];
            for (x, l) in tail.iter_mut().zip(&column[1..]) {
                *x -= l * head[0];
            }
        }
        for j in (0..b.len()).rev() {
            let column = &factor.col_as_slice(j)[j..b.len()];
            b[j] = (b[j] - stranded::<WIDE>(&column[1..], &b[j + 1..])) / column[0];
        }
    }
}

impl pulp::NullaryFnOnce for AddLagged<'_> {
    type Output = ();

    #[expect(clippy::inline_always, reason = "only what is inlined is compiled for long vectors")]
    #[inline(always)]
    fn call(self) {
        let Self { x, from, sums } = self;
        for (lag, sum) in sums.iter_mut().enumerate() {
            let from = from.max(lag);
            if from < x.len() {
                *sum += stranded::<WIDE>(&x[from..], &x[from - lag..x.len() - lag]);
            }
        }
    }
}

impl pulp::NullaryFnOnce for Times<'_> {
    type Output = Vec<f64>;

    #[expect(clippy::inline_always, reason = "only what is inlined is compiled for long vectors")]
    #[inline(always)]
    fn call(self) -> Vec<f64> {
        let Self { lower, vector } = self;
        let mut product = vec![0.0; vector.len()];
        for (j, &by) in vector.iter().enumerate() {
            let (diagonal, below) = lower.col_as_slice(j)[j..].split_first().expect("a square matrix");
            product[j] += diagonal * by + stranded::<WIDE>(below, &vector[j + 1..]);
            for (sum, value) in product[j + 1..].iter_mut().zip(below) {
                *sum += value * by;
            }
        }
        product
    }
}

/// Clears the upper halves of the vector registers. faer's products (0.24) leave them in use, and until they are cleared
/// code that knows only short vectors, as this crate is compiled, waits at every call of the mathematical library: 200
/// cosines of inner products took 30 us instead of 3.5. What the compiler makes for long vectors clears them at its end.
pub(super) fn clear_vectors() {
    let mut numbers = std::hint::black_box([0.0_f64; 8]);
    pulp::Arch::new().dispatch(|| {
        for number in &mut numbers {
            *number = number.mul_add(0.5, 1.0);
        }
    });
    std::hint::black_box(numbers);
}

#[cfg(test)]
mod tests {
    use super::super::factorise;
    use super::*;

    #[test]
    fn sums_over_lags_are_those_of_the_pairs() {
        let x: Vec<f64> = (0..137).map(|t| (f64::from(t) * 0.37).sin()).collect();
        let mut sums = vec![1.0; 140];
        add_lagged(&x, 20, &mut sums);
        for (lag, sum) in sums.iter().enumerate() {
            let pairs: f64 = (20.max(lag)..x.len()).map(|t| x[t] * x[t - lag]).sum();
            assert!((sum - 1.0 - pairs).abs() < 1e-12, "{lag}: {sum} {pairs}");
        }
    }

    #[test]
    fn the_lower_triangle_stands_for_the_whole() {
        let lower = Mat::from_fn(3, 3, |i, j| if i >= j { (3 * i + j) as f64 } else { f64::NAN });
        // [[0, 3, 6], [3, 4, 7], [6, 7, 8]]
        assert_eq!(times(&lower, &[1.0, 10.0, 100.0]), [630.0, 743.0, 876.0]);
    }

    #[test]
    fn a_factor_solves_its_system() {
        let width = 37;
        let whole = Mat::from_fn(width, width, |i, j| if i == j { 40.0 } else { ((i * j) as f64).cos() });
        let wanted: Vec<f64> = (0..width).map(|i| (i as f64).sin()).collect();
        let mut factor = whole.clone();
        factorise(&mut factor).expect("its diagonal is heavy");
        let mut found: Vec<f64> = (0..width).map(|i| (0..width).map(|j| whole[(i, j)] * wanted[j]).sum()).collect();
        substitute(&factor, &mut found);
        assert!(found.iter().zip(&wanted).all(|(one, other)| (one - other).abs() < 1e-12), "{found:?}");
    }
}
