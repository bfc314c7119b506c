//! The GitHub runner's files and workflow commands: outputs, state, summary, masks, annotations.
