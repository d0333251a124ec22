//! Answers of EC2 as a tree: elements with either text or others in them.

/// One element and what is in it.
#[derive(Debug, Default)]
pub(super) struct Element {
    name: String,
    text: String,
    children: Vec<Element>,
}

impl Element {
    /// The root element of a document.
    pub(super) fn parse(xml: &str) -> Result<Self, roxmltree::Error> {
        Ok(Element::of(roxmltree::Document::parse(xml)?.root_element()))
    }

    fn of(node: roxmltree::Node<'_, '_>) -> Self {
        Element {
            name: node.tag_name().name().to_owned(),
            text: node.text().unwrap_or_default().to_owned(),
            children: node.children().filter(|node| node.is_element()).map(Element::of).collect(),
        }
    }

    /// The first element at a path of names below this one, such as `ebs/volumeSize`.
    fn at(&self, path: &str) -> Option<&Element> {
        path.split('/').try_fold(self, |element, name| element.named(name).next())
    }

    /// The text of the element at a path.
    pub(super) fn text(&self, path: &str) -> Option<&str> {
        self.at(path).map(|element| element.text.as_str())
    }

    /// The items of the list at a path.
    pub(super) fn items<'a>(&'a self, path: &str) -> impl Iterator<Item = &'a Element> + use<'a> {
        self.at(path).into_iter().flat_map(|list| list.named("item"))
    }

    /// The tags of what this element describes.
    pub(super) fn tags(&self) -> impl Iterator<Item = (&str, &str)> {
        self.items("tagSet").filter_map(|tag| Some((tag.text("key")?, tag.text("value")?)))
    }

    fn named<'a, 'n>(&'a self, name: &'n str) -> impl Iterator<Item = &'a Element> + use<'a, 'n> {
        self.children.iter().filter(move |child| child.name == name)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_asked_for_is_found_and_what_is_missing_is_none() {
        let root = Element::parse(
            r#"<Answer xmlns="http://ec2.amazonaws.com/doc/2016-11-15/"><requestId>r</requestId><subnetSet>
                 <item><subnetId>a &amp; b</subnetId>
                   <tagSet><item><key>k</key><value/></item><item><key>half</key></item></tagSet></item>
                 <item/></subnetSet></Answer>"#,
        );
        let root = root.unwrap();
        let items: Vec<_> = root.items("subnetSet").collect();
        assert_eq!(items.len(), 2);
        assert_eq!((items[0].text("subnetId"), items[1].text("subnetId")), (Some("a & b"), None));
        assert_eq!(items[0].tags().collect::<Vec<_>>(), [("k", "")]);
        assert_eq!(root.items("vpcSet").count(), 0);
        assert!(Element::parse("<html>").is_err());
    }
}
