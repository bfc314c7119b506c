//! What was found about a row: the verdict, what it stands on, and where to look. Plain data.

/// What was found about a row.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Finding {
    pub(super) verdict: Verdict,
    /// One sentence without a full stop.
    pub(super) evidence: String,
    pub(super) link: Option<String>,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Verdict {
    Passed,
    Failed { mend: String },
    NotChecked,
}

impl Finding {
    pub(super) fn passed(evidence: impl Into<String>) -> Self {
        Self { verdict: Verdict::Passed, evidence: evidence.into(), link: None }
    }

    pub(super) fn failed(evidence: impl Into<String>, mend: impl Into<String>) -> Self {
        Self { verdict: Verdict::Failed { mend: mend.into() }, evidence: evidence.into(), link: None }
    }

    pub(super) fn not_checked(evidence: impl Into<String>) -> Self {
        Self { verdict: Verdict::NotChecked, evidence: evidence.into(), link: None }
    }

    /// Nothing could tell but a person.
    pub(super) fn person() -> Self {
        Self::not_checked("for a person: nothing is configured that could tell")
    }

    /// A section of the checklist is off.
    pub(super) fn off(section: &str) -> Self {
        Self::not_checked(format!("for a person: `{section}` is off in deploy.yml"))
    }

    pub(super) fn at(self, link: Option<String>) -> Self {
        Self { link: link.or(self.link), ..self }
    }

    /// Several findings as one: all that were checked must have passed, and one at least. Where some have not, only those are shown.
    pub(super) fn all(findings: impl IntoIterator<Item = Self>) -> Self {
        let (checked, unchecked): (Vec<Self>, Vec<Self>) = findings.into_iter().partition(|finding| finding.verdict != Verdict::NotChecked);
        let (bad, good): (Vec<Self>, Vec<Self>) =
            checked.into_iter().partition(|finding| matches!(finding.verdict, Verdict::Failed { .. }));
        let mends: Vec<&str> = bad.iter().filter_map(Self::mend).collect();
        let (verdict, shown) = match (bad.is_empty(), good.is_empty()) {
            (false, _) => (Verdict::Failed { mend: join(mends) }, &bad),
            (true, false) => (Verdict::Passed, &good),
            (true, true) => (Verdict::NotChecked, &unchecked),
        };
        let evidence = join(shown.iter().map(|finding| finding.evidence.as_str()).collect());
        Self { verdict, evidence, link: shown.iter().find_map(|finding| finding.link.clone()) }
    }

    fn mend(&self) -> Option<&str> {
        match &self.verdict {
            Verdict::Failed { mend } => Some(mend),
            Verdict::Passed | Verdict::NotChecked => None,
        }
    }
}

/// Each of `texts` once.
fn join(texts: Vec<&str>) -> String {
    let mut unique: Vec<&str> = Vec::new();
    for text in texts {
        if !unique.contains(&text) {
            unique.push(text);
        }
    }
    unique.join("; ")
}
