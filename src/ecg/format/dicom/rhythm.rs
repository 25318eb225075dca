//! Chooses the multiplex groups that hold the rhythm, and joins those that hold different leads of the same time.

use super::{super::damaged, group::Group};
use crate::{Result, ecg::Lead};

/// Groups that were sampled together, and the leads of all of them.
#[derive(Debug)]
pub(super) struct Part<'a> {
    pub(super) groups: Vec<Group<'a>>,
    leads: Vec<Lead>,
}

impl<'a> Part<'a> {
    fn of(group: Group<'a>) -> Self {
        Self { leads: leads(&group), groups: vec![group] }
    }

    /// Whether a group has other leads of the same time as this part.
    fn continues_with(&self, group: &Group) -> bool {
        let time = |group: &Group| (group.rate.map(f64::to_bits), group.samples, group.offset.map(f64::to_bits));
        let same_time = self.groups.first().is_some_and(|first| time(first) == time(group));
        same_time && !group.leads().any(|lead| self.leads.contains(&lead))
    }

    fn add(&mut self, group: Group<'a>) {
        self.leads.extend(leads(&group));
        self.leads.sort();
        self.groups.push(group);
    }

    /// Returns when the part begins, in milliseconds, if the file states it.
    pub(super) fn offset(&self) -> Option<f64> {
        self.groups.first().and_then(|group| group.offset)
    }

    fn names(&self) -> String {
        self.groups.iter().map(Group::name).collect::<Vec<_>>().join(", ")
    }

    /// Describes the part by its groups, leads and length.
    fn described(&self) -> String {
        let leads: Vec<&str> = self.leads.iter().map(|lead| lead.name()).collect();
        let samples = self.groups.first().map_or(0, |group| group.samples);
        let rate = self.groups.first().and_then(|group| group.rate).unwrap_or_default();
        let offset = self.offset().map_or(String::new(), |offset| format!(" from {offset} ms"));
        format!("{} has {} ({samples} samples at {rate} Hz{offset})", self.names(), leads.join(", "))
    }
}

/// Returns the leads of a group in the standard order, each once.
fn leads(group: &Group) -> Vec<Lead> {
    let mut leads: Vec<Lead> = group.leads().collect();
    leads.sort();
    leads.dedup();
    leads
}

/// Chooses the rhythm of all groups of a file. Several parts hold the same leads at different times. What is left out
/// becomes a warning.
///
/// # Errors
/// No group holds a rhythm, or leads differ in time or sampling rate.
pub(super) fn choose<'a>(groups: Vec<Group<'a>>, warnings: &mut Vec<String>) -> Result<Vec<Part<'a>>> {
    let (beats, groups): (Vec<Group>, Vec<Group>) = groups.into_iter().partition(Group::is_beat);
    if groups.is_empty() && !beats.is_empty() {
        let cause = "the file holds the mean of the beats and not the rhythm they were taken from";
        return Err(damaged(cause, "export the recording with its rhythm"));
    }
    let (with_leads, others): (Vec<Group>, Vec<Group>) =
        groups.into_iter().partition(|group| group.leads().next().is_some());
    if with_leads.is_empty() {
        // The caller names the leads, or explains that there are none.
        return Ok(others.into_iter().take(1).map(Part::of).collect());
    }
    warnings.extend(others.iter().map(|group| format!("ignored, since without a standard lead: {}", group.name())));
    let mut parts: Vec<Part> = Vec::new();
    for group in with_leads {
        match parts.iter_mut().find(|part| part.continues_with(&group)) {
            Some(part) => part.add(group),
            None => parts.push(Part::of(group)),
        }
    }
    largest(parts, warnings)
}

/// Returns the parts with all leads of the file. Parts with some of them, such as a strip of one lead, are left out.
fn largest<'a>(parts: Vec<Part<'a>>, warnings: &mut Vec<String>) -> Result<Vec<Part<'a>>> {
    // A part of a second beside a longer one is a beat without the label.
    let shortest = |part: &Part| part.groups.first().is_some_and(Group::is_short);
    let long = parts.iter().any(|part| !shortest(part));
    let (short, parts): (Vec<Part>, Vec<Part>) = parts.into_iter().partition(|part| long && shortest(part));
    let most = parts.iter().map(|part| part.leads.len()).max().unwrap_or(0);
    let all = parts.iter().find(|part| part.leads.len() == most).map(|part| part.leads.clone()).unwrap_or_default();
    if let Some(other) = parts.iter().find(|part| part.leads.iter().any(|lead| !all.contains(lead))) {
        let first = parts.iter().find(|part| part.leads == all).map(Part::described).unwrap_or_default();
        let cause = format!("the leads were not recorded together: {first}, and {}", other.described());
        return Err(damaged(cause, "export the recording with all leads of the same time and sampling rate"));
    }
    let (chosen, rest): (Vec<Part>, Vec<Part>) = parts.into_iter().partition(|part| part.leads == all);
    let ignored = short.iter().chain(&rest).map(|part| format!("ignored beside the rhythm: {}", part.described()));
    warnings.extend(ignored);
    Ok(chosen)
}
