//! One page that holds the whole answer: search, a matrix that folds, and why each cell is as it is.
//!
//! ```text
//! program, connections ──► data.rs, rules.rs   facts by number, as JSON within the page
//!                          model.js            looks up a cell, explains it
//!                          matrix.js           draws what of the matrix is in sight
//!                          page.js             search, panel, lists, keys
//! ```
//!
//! The page needs no network and reads no YAML: all that it says comes from the compiled program.

mod data;
mod rules;
mod tables;

use anyhow::{Context as _, Result};

pub(crate) use self::data::Page;

const TEMPLATE: &str = include_str!("page.html");
const STYLE: &str = include_str!("page.css");
const SCRIPTS: [&str; 3] = [include_str!("model.js"), include_str!("matrix.js"), include_str!("page.js")];

impl Page<'_> {
    /// The page.
    ///
    /// # Errors
    /// When the data cannot be written.
    pub(crate) fn html(&self) -> Result<String> {
        let data = serde_json::to_string(&self.data()).context("cannot write JSON")?;
        // The data is last: nothing that a name says is taken for a mark of the template.
        let page = TEMPLATE.replace("{{style}}", STYLE).replace("{{script}}", &SCRIPTS.join("\n"));
        Ok(page.replace("{{data}}", &inert(&data)))
    }
}

/// JSON that ends no script element, whatever its strings say: `<` is written as an escape.
fn inert(json: &str) -> String {
    json.replace('<', "\\u003c")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn no_name_ends_the_script() {
        let json = serde_json::to_string("</script><script>alert(1)<!--").unwrap();
        let inert = inert(&json);
        assert!(!inert.contains('<'), "{inert}");
        assert_eq!(serde_json::from_str::<String>(&inert).unwrap(), "</script><script>alert(1)<!--");
    }
}
