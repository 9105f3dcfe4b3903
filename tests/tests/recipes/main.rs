//! What Redox is given: recipes, units and the image's configuration, and how they come into its tree.

mod contents;
mod overlay;
mod places;
mod project;
