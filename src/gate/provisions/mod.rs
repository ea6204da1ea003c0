//! Records of provision and of receipt (APPI Art. 29 and 30). A record is its entry of the log, opened by a decision or a receipt and
//! closed by an outcome. The store has what it takes to find them, made from the entries after them and in their order, so that no
//! check waits for it. Reads and writes as the log's readers do, and decides nothing.

pub(super) mod disclosure;
pub(super) mod follow;
pub(super) mod read;
pub(super) mod receipt;
