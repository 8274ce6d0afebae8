//! A list that is nearly always empty, and then takes no more than a pointer.

#[derive(Debug, Clone)]
#[expect(clippy::box_collection, reason = "a vector takes three words even where it is empty")]
pub(super) struct Seldom<T>(Option<Box<Vec<T>>>);

impl<T> Seldom<T> {
    #[inline]
    pub(super) fn is_empty(&self) -> bool {
        self.0.as_ref().is_none_or(|all| all.is_empty())
    }

    pub(super) fn iter(&self) -> std::slice::Iter<'_, T> {
        self.0.as_deref().map_or(&[][..], Vec::as_slice).iter()
    }

    /// All of it, to be changed.
    pub(super) fn all(&mut self) -> &mut Vec<T> {
        self.0.get_or_insert_default()
    }
}

impl<T> Default for Seldom<T> {
    fn default() -> Self {
        Self(None)
    }
}

impl<T> FromIterator<T> for Seldom<T> {
    fn from_iter<I: IntoIterator<Item = T>>(items: I) -> Self {
        let all: Vec<T> = items.into_iter().collect();
        Self((!all.is_empty()).then(|| Box::new(all)))
    }
}

impl<T> IntoIterator for Seldom<T> {
    type Item = T;
    type IntoIter = std::vec::IntoIter<T>;

    fn into_iter(self) -> Self::IntoIter {
        self.0.map_or_else(Vec::new, |all| *all).into_iter()
    }
}
