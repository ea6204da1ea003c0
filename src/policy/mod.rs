//! Policy packs: files to a rule set.
