//! A rule's page: the doc comment of its file.
//!
//! The first line is the title; the sections are headings `## What it does`, `## Why is this bad`,
//! `## Example`, `## Use instead`, `## Where it comes from`.

/// A page, as Markdown.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Page<'s> {
    source: &'s str,
}

impl<'s> Page<'s> {
    pub(crate) fn of(source: &'s str) -> Self {
        Self { source }
    }

    /// The whole page, without the comment marks.
    pub fn markdown(&self) -> String {
        let lines = self.source.lines().map_while(|line| line.strip_prefix("//!"));
        let mut text: String = lines.map(|line| format!("{}\n", line.strip_prefix(' ').unwrap_or(line))).collect();
        text.truncate(text.trim_end().len());
        text.push('\n');
        text
    }

    /// The first line.
    pub fn title(&self) -> &'s str {
        self.source.lines().next().and_then(|line| line.strip_prefix("//! ")).unwrap_or("")
    }
}

#[cfg(test)]
mod tests {
    use crate::REGISTRY;

    #[test]
    fn every_page_has_all_its_sections() {
        for lint in REGISTRY {
            let page = lint.page().markdown();
            for section in
                ["## What it does", "## Why is this bad", "## Example", "## Use instead", "## Where it comes from"]
            {
                assert!(page.contains(section), "{} lacks `{section}`", lint.code);
            }
            assert!(!lint.page().title().is_empty() && !lint.page().title().starts_with('#'), "{}", lint.code);
        }
    }
}
