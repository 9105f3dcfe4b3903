//! Views: what others do not see.

use libredox::errno::ENOENT;
use libreg::{Access, Guid, ViewOptions};

use super::expect::{Outcome, refused, same};
use super::ground::{Ground, set_text, text};

pub fn private_layers(ground: &Ground) -> Outcome {
    let key = ground.key("private")?;
    set_text(&key, "value", "of base", None)?;
    let layer = ground.layer("private", false)?;
    set_text(&key, "value", "of the layer", Some(&layer))?;
    same("outside the view", text(&key, "value")?, "of base")?;
    let options = ViewOptions { private_layers: &[&layer], ..ViewOptions::default() };
    let view = ground.registry.view(&options)?;
    let inside = view.open_key(key.path(), Access::KEY_READ)?;
    same("in the view", text(&inside, "value")?, "of the layer")?;
    same("outside the view", text(&key, "value")?, "of base")?;
    ground.delete_layer(&layer)?;
    same("in the view of a deleted layer", text(&inside, "value")?, "of base")?;
    refused("a view of a deleted layer", ground.registry.view(&options).map(drop), ENOENT)
}

pub fn scopes(ground: &Ground) -> Outcome {
    let key = ground.key("scopes")?;
    set_text(&key, "value", "text", None)?;
    let scope = Guid(uuid::Uuid::new_v4().into_bytes());
    ground.scope(scope)?;
    let options = ViewOptions { scopes: &[scope], ..ViewOptions::default() };
    let view = ground.registry.view(&options)?;
    let inside = view.open_key(key.path(), Access::KEY_READ)?;
    same("a global hive in the view of a scope", text(&inside, "value")?, "text")?;
    // What is said of a scope that is gone depends on privileges: SeTcb joins any.
    ground.delete_scope(scope)?;
    same("a value in the view of a deleted scope", text(&inside, "value")?, "text")
}

pub fn sealed(ground: &Ground) -> Outcome {
    let key = ground.key("sealed")?;
    let view = ground.registry.view(&ViewOptions { sealed: true, ..ViewOptions::default() })?;
    let inside = view.open_key(key.path(), Access::KEY_READ);
    refused("a global hive in a sealed view", inside, ENOENT)?;
    same("the hives of a sealed view", view.status()?.hives.len(), 0)
}
