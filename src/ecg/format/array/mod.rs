//! Makes recordings of arrays of numbers, whatever file they come from.

mod element;
mod layout;
mod padding;
mod recordings;
#[cfg(any(feature = "compressed", feature = "mat", feature = "hdf5"))]
mod variables;

#[cfg(feature = "hdf5")]
pub(super) use self::recordings::recording_of_leads;
#[cfg(any(feature = "compressed", feature = "hdf5"))]
pub(super) use self::variables::{Choice, Shaped, choose, is_leads, is_rate, is_unit};
#[cfg(any(feature = "compressed", feature = "mat"))]
pub(super) use self::variables::{Value, Variable, read as read_variables};
pub(super) use self::{
    element::{Element, Number},
    recordings::{Description, Planes, recordings},
};

/// The order of an array's elements in its file.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Order {
    /// The last dimension is contiguous, as in C.
    C,
    /// The first dimension is contiguous, as in Fortran and MATLAB.
    Fortran,
}

/// An array of numbers as it is stored.
#[derive(Debug, Clone)]
pub(super) struct Array {
    shape: Vec<usize>,
    order: Order,
    element: Element,
    bytes: Vec<u8>,
    /// Whether the numbers are of a whole type, although they may be stored as another.
    whole: bool,
    /// The number that stands for a missing sample.
    missing: Option<f64>,
}

impl Array {
    /// Makes an array of its elements, one after the other. Returns nothing if the shape needs more or fewer bytes.
    pub(super) fn new(shape: Vec<usize>, order: Order, element: Element, bytes: Vec<u8>) -> Option<Self> {
        let expected = shape.iter().try_fold(element.bytes(), |product, side| product.checked_mul(*side))?;
        let (whole, missing) = (element.is_whole(), element.missing());
        (expected == bytes.len()).then_some(Self { shape, order, element, bytes, whole, missing })
    }

    /// Takes the numbers as those of another type, in which a writer held them before it stored them in fewer bytes.
    #[cfg(feature = "mat")]
    pub(super) fn of_type(self, declared: Element) -> Self {
        Self { whole: declared.is_whole(), missing: declared.missing(), ..self }
    }

    /// Returns the length of each dimension.
    pub(super) fn shape(&self) -> &[usize] {
        &self.shape
    }

    /// Returns the distance of neighbours in each dimension, in elements.
    fn strides(&self) -> Vec<usize> {
        let mut strides = vec![1; self.shape.len()];
        // The product of the shape was checked against the number of bytes: it cannot overflow.
        match self.order {
            Order::Fortran => (1..strides.len()).for_each(|at| strides[at] = strides[at - 1] * self.shape[at - 1]),
            Order::C => (1..strides.len()).rev().for_each(|at| strides[at - 1] = strides[at] * self.shape[at]),
        }
        strides
    }

    /// Returns the element at a distance from the first, as it is stored.
    fn stored(&self, at: usize) -> f64 {
        self.element.number(&self.bytes[at * self.element.bytes()..][..self.element.bytes()])
    }

    /// Returns the sample at a distance from the first; NaN if it has no value.
    fn sample(&self, at: usize) -> f64 {
        let number = self.stored(at);
        if self.missing == Some(number) { f64::NAN } else { number }
    }

    /// Iterates over all elements as they are stored.
    #[cfg(feature = "mat")]
    pub(super) fn numbers(&self) -> impl Iterator<Item = f64> {
        (0..self.len()).map(|at| self.stored(at))
    }

    /// Returns the number of elements.
    fn len(&self) -> usize {
        self.bytes.len() / self.element.bytes()
    }

    /// Returns the only element of an array that has one.
    #[cfg(any(feature = "compressed", feature = "mat", feature = "hdf5"))]
    pub(super) fn scalar(&self) -> Option<f64> {
        (self.len() == 1).then(|| self.stored(0))
    }

    /// Returns all elements, the last dimension contiguous, rounded to f32.
    pub(super) fn in_c_order(&self) -> Vec<f32> {
        let strides = self.strides();
        let element = |mut index: usize| {
            let mut at = 0;
            for (side, stride) in self.shape.iter().zip(&strides).rev() {
                at += index % side * stride;
                index /= side;
            }
            self.stored(at) as f32
        };
        match self.order {
            Order::C => (0..self.len()).map(|at| self.stored(at) as f32).collect(),
            Order::Fortran => (0..self.len()).map(element).collect(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bytes(order: Order) -> Array {
        let element = Element::new(Number::Unsigned, 1, false).unwrap();
        Array::new(vec![2, 3], order, element, (0..6).collect()).unwrap()
    }

    #[test]
    fn elements_are_found_in_both_orders() {
        assert_eq!(bytes(Order::C).in_c_order(), [0.0, 1.0, 2.0, 3.0, 4.0, 5.0]);
        assert_eq!(bytes(Order::Fortran).in_c_order(), [0.0, 2.0, 4.0, 1.0, 3.0, 5.0]);
    }

    #[test]
    fn an_array_has_as_many_bytes_as_its_shape_needs() {
        let element = Element::new(Number::Float, 4, false).unwrap();
        assert!(Array::new(vec![2, 3], Order::C, element, vec![0; 23]).is_none());
        assert!(Array::new(vec![usize::MAX, 3], Order::C, element, vec![0; 24]).is_none());
    }
}
