//! A mean and how far it may be off.

/// The mean of numbers that are added one by one (Welford 1962), of which none is kept.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Mean {
    n: usize,
    mean: f64,
    /// Of the distances to the mean.
    squares: f64,
}

impl Mean {
    /// Adds a number.
    pub fn add(&mut self, x: f64) {
        self.n += 1;
        let distance = x - self.mean;
        self.mean += distance / self.n as f64;
        self.squares += distance * (x - self.mean);
    }

    /// How many numbers there are.
    pub fn count(&self) -> usize {
        self.n
    }

    /// The mean; 0 of no numbers.
    pub fn value(&self) -> f64 {
        self.mean
    }

    /// The mean's standard error: the sample standard deviation over the root of the count;
    /// `None` of fewer than two numbers.
    pub fn standard_error(&self) -> Option<f64> {
        let n = self.n as f64;
        (self.n > 1).then(|| (self.squares / (n - 1.0) / n).sqrt())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(numbers: &[f64]) -> Mean {
        let mut mean = Mean::default();
        numbers.iter().for_each(|&x| mean.add(x));
        mean
    }

    #[test]
    fn figures_are_the_textbooks() {
        let mean = of(&[2.0, 4.0, 4.0, 4.0, 5.0, 5.0, 7.0, 9.0]);
        assert_eq!(mean.count(), 8);
        assert!((mean.value() - 5.0).abs() < 1e-12);
        let error = (32.0f64 / 7.0 / 8.0).sqrt();
        assert!((mean.standard_error().unwrap() - error).abs() < 1e-12);
        // Far from zero nothing is lost.
        let far = of(&[1e9 + 1.0, 1e9 + 2.0, 1e9 + 3.0]);
        assert!((far.standard_error().unwrap() - (1.0f64 / 3.0).sqrt()).abs() < 1e-6);
    }

    #[test]
    fn one_number_says_nothing_of_its_error() {
        assert_eq!(of(&[3.0]).value(), 3.0);
        assert_eq!(of(&[3.0]).standard_error(), None);
        assert_eq!(of(&[]).standard_error(), None);
        assert_eq!(of(&[7.0; 5]).standard_error(), Some(0.0));
    }
}
