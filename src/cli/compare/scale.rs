//! From figures to places in a chart, on a line that is even or logarithmic as the figures ask for.

/// Figures further apart than so many times are shown by their orders of magnitude.
const EVEN_RANGE: f64 = 30.0;
/// The most marks on an even scale.
const MARKS: f64 = 5.0;
/// The most powers of ten that are all marked.
const POWERS: usize = 5;
/// The part of a logarithmic line that is zero's.
const ZERO: f64 = 0.14;

/// Where figures are on a line.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Scale {
    kind: Kind,
    from: f64,
    to: f64,
}

#[derive(Debug, Clone, PartialEq)]
enum Kind {
    /// From 0 to so much, marked at each step.
    Even { most: f64, step: f64 },
    /// From one figure above 0 to another, marked at powers of ten. Zero has a place before them where it occurs.
    Logarithmic {
        least: f64,
        most: f64,
        has_zero: bool,
    },
}

impl Scale {
    /// A scale on which all of `figures` have a place between `from` and `to`. What is no number, or less than
    /// 0, counts as 0.
    pub(super) fn of(figures: impl IntoIterator<Item = f64>, from: f64, to: f64) -> Self {
        let figures: Vec<f64> = figures.into_iter().map(|figure| figure.max(0.0)).collect();
        let most = figures.iter().copied().fold(0.0, f64::max);
        let positive = figures.iter().copied().filter(|figure| *figure > 0.0);
        let least = positive.fold(most, f64::min);
        let kind = match least > 0.0 && most / least > EVEN_RANGE {
            true => Kind::Logarithmic {
                least: round_below(least),
                most: round_above(most),
                has_zero: figures.contains(&0.0),
            },
            false => even(most),
        };
        Scale { kind, from, to }
    }

    /// What its reader must know: nothing, of one that is even from 0 on.
    pub(super) fn kind(&self) -> Option<&'static str> {
        match self.kind {
            Kind::Even { .. } => None,
            Kind::Logarithmic {
                has_zero: false, ..
            } => Some("logarithmic scale"),
            Kind::Logarithmic { has_zero: true, .. } => Some("logarithmic scale, 0 apart"),
        }
    }

    /// Where a figure is; one that is off the scale is at its end.
    pub(super) fn place(&self, figure: f64) -> f64 {
        let share = match self.kind {
            Kind::Even { most, .. } => figure / most,
            Kind::Logarithmic { .. } if figure <= 0.0 => 0.0,
            Kind::Logarithmic {
                least,
                most,
                has_zero,
            } => {
                let begins = if has_zero { ZERO } else { 0.0 };
                let [figure, least, most] = [figure, least, most].map(f64::log10);
                let share = (figure - least) / (most - least);
                begins + share.clamp(0.0, 1.0) * (1.0 - begins)
            }
        };
        self.from + share.clamp(0.0, 1.0) * (self.to - self.from)
    }

    /// The figures to be marked, from the lowest; few enough to be told apart.
    pub(super) fn marks(&self) -> Vec<f64> {
        match self.kind {
            Kind::Even { most, step } => {
                let count = (most / step).round() as u32;
                (0..=count).map(|mark| f64::from(mark) * step).collect()
            }
            Kind::Logarithmic {
                least,
                most,
                has_zero,
            } => {
                let (first, last) = (least.log10().ceil() as i32, most.log10().floor() as i32);
                let powers: Vec<_> = (first..=last).collect();
                let each = powers.len().div_ceil(POWERS).max(1);
                let marked = powers.into_iter().step_by(each);
                let marked = marked.map(|power| 10_f64.powi(power));
                has_zero.then_some(0.0).into_iter().chain(marked).collect()
            }
        }
    }
}

/// From 0 to the first whole step that nothing is beyond.
fn even(most: f64) -> Kind {
    let most = if most > 0.0 { most } else { 1.0 };
    let step = round_above(most / MARKS);
    Kind::Even {
        most: (most / step).ceil() * step,
        step,
    }
}

/// The least of 1, 2 and 5 times a power of ten that is not below a figure above 0.
fn round_above(figure: f64) -> f64 {
    let power = power_of_ten(figure);
    let steps = [1.0, 2.0, 5.0].map(|times| times * power);
    let above = steps.into_iter().find(|step| *step >= figure);
    above.unwrap_or(10.0 * power)
}

/// The greatest of them that is not above it.
fn round_below(figure: f64) -> f64 {
    let power = power_of_ten(figure);
    let steps = [5.0, 2.0].map(|times| times * power);
    let below = steps.into_iter().find(|step| *step <= figure);
    below.unwrap_or(power)
}

fn power_of_ten(figure: f64) -> f64 {
    10_f64.powf(figure.log10().floor())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn close(one: f64, other: f64) -> bool {
        (one - other).abs() < 1e-9
    }

    #[test]
    fn figures_of_one_order_are_on_an_even_line_from_zero() {
        let scale = Scale::of([158.0, 186.0, 645.0], 100.0, 300.0);
        assert_eq!(scale.kind(), None);
        assert_eq!(scale.marks(), [0.0, 200.0, 400.0, 600.0, 800.0]);
        let places = [0.0, 400.0, 800.0].map(|figure| scale.place(figure));
        assert_eq!(places, [100.0, 200.0, 300.0]);
    }

    #[test]
    fn figures_of_several_orders_are_on_a_logarithmic_line() {
        let scale = Scale::of([20.0, 7311.0], 0.0, 300.0);
        assert_eq!(scale.kind(), Some("logarithmic scale"));
        assert_eq!(scale.marks(), [100.0, 1000.0, 10_000.0]);
        for (figure, place) in [(20.0, 0.0), (10_000.0, 300.0), (1e9, 300.0)] {
            assert!(close(scale.place(figure), place), "{figure}");
        }
        let apart = [100.0, 1000.0, 10_000.0].map(|figure| scale.place(figure));
        assert!(close(apart[1] - apart[0], apart[2] - apart[1]));
    }

    #[test]
    fn zero_has_a_place_before_the_powers_of_ten() {
        let scale = Scale::of([0.0, 0.03, 20.0], 0.0, 100.0);
        assert_eq!(scale.marks().first(), Some(&0.0));
        assert!(close(scale.place(0.0), 0.0) && close(scale.place(0.02), 100.0 * ZERO));
        assert!(close(scale.place(20.0), 100.0));
    }

    #[test]
    fn figures_that_are_none_have_a_place_too() {
        for figures in [vec![], vec![0.0], vec![f64::NAN, -1.0], vec![1e-300, 1e300]] {
            let scale = Scale::of(figures.clone(), 0.0, 10.0);
            for figure in figures {
                assert!((0.0..=10.0).contains(&scale.place(figure.max(0.0))));
            }
            assert!(scale.marks().len() <= POWERS + 1);
        }
    }

    #[test]
    fn steps_are_round_and_nothing_is_beyond_the_last() {
        for most in [0.9, 1.0, 7.0, 12.0, 19.9, 999.0] {
            let marks = Scale::of([most], 0.0, 1.0).marks();
            assert!((2..=6).contains(&marks.len()), "{most}: {marks:?}");
            assert!(marks.last().is_some_and(|last| *last >= most - 1e-9));
        }
    }
}
