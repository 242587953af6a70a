//! How much faster one setting is than another, from samples that alternated.

/// A ratio of rates and the interval that it lies in with 95 % confidence: the geometric mean of
/// the pairs' ratios, with Student's t on their logarithms. Samples of a pair were taken one right
/// after the other, so that what a machine's neighbours do to both cancels.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Ratio {
    /// The geometric mean of the pairs' ratios; 1 where both are as fast.
    pub ratio: f64,
    /// The interval's ends; `None` of a single pair.
    pub interval: Option<[f64; 2]>,
    /// How many pairs of samples it is of.
    pub pairs: usize,
}

/// Two-sided 95 % quantiles of Student's t with 1, 2, … 30 degrees of freedom.
const T: [f64; 30] = [
    12.706, 4.303, 3.182, 2.776, 2.571, 2.447, 2.365, 2.306, 2.262, 2.228, 2.201, 2.179, 2.160,
    2.145, 2.131, 2.120, 2.110, 2.101, 2.093, 2.086, 2.080, 2.074, 2.069, 2.064, 2.060, 2.056,
    2.052, 2.048, 2.045, 2.042,
];

impl Ratio {
    /// The ratio of `a` to `b`, pair by pair; `None` of no pairs.
    pub fn of(a: &[f64], b: &[f64]) -> Option<Self> {
        let logs: Vec<f64> = a.iter().zip(b).map(|(a, b)| (a / b).ln()).collect();
        let n = logs.len();
        let mean = logs.iter().sum::<f64>() / n as f64;
        let interval = (n > 1).then(|| {
            let squares: f64 = logs.iter().map(|x| (x - mean).powi(2)).sum();
            let error = (squares / (n - 1) as f64 / n as f64).sqrt();
            // The next larger one of the table where it has no more.
            let reach = T.get(n - 2).unwrap_or(&T[T.len() - 1]) * error;
            [(mean - reach).exp(), (mean + reach).exp()]
        });
        (n > 0).then_some(Self {
            ratio: mean.exp(),
            interval,
            pairs: n,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_interval_is_students() {
        // Logarithms ln 2 - 0.1, ln 2, ln 2 + 0.1: mean ln 2, standard error 0.1 / sqrt 3.
        let a = [-0.1f64, 0.0, 0.1].map(|x| 20.0 * x.exp());
        let r = Ratio::of(&a, &[10.0; 3]).unwrap();
        let reach = 4.303 * 0.1 / 3f64.sqrt();
        let [low, high] = r.interval.unwrap();
        assert!((r.ratio - 2.0).abs() < 1e-9 && r.pairs == 3);
        assert!((low.ln() - (2f64.ln() - reach)).abs() < 1e-9);
        assert!((high.ln() - (2f64.ln() + reach)).abs() < 1e-9);
    }

    #[test]
    fn drift_of_both_cancels() {
        let b = [10.0, 20.0, 40.0, 5.0];
        let r = Ratio::of(&b.map(|b| 1.5 * b), &b).unwrap();
        let [low, high] = r.interval.unwrap();
        assert!((low - 1.5).abs() < 1e-9 && (high - 1.5).abs() < 1e-9);
        assert_eq!(Ratio::of(&[3.0], &[2.0]).unwrap().interval, None);
        assert_eq!(Ratio::of(&[], &[]), None);
    }
}
