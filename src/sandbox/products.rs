//! Products: create, retrieve, list.
//!
//! In: parameters, also those of a price's `product_data`. Out: a product: a name for prices, and nothing else.

use super::error::ApiError;
use super::lists;
use super::objects;
use super::records::{Fact, Product};
use super::request::Params;
use super::routes::Reply;
use super::world::World;

const KNOWN: [&str; 6] = ["id", "name", "active", "description", "unit_label", "metadata"];
const WITHOUT_EFFECT: [&str; 7] = [
    "images",
    "marketing_features",
    "package_dimensions",
    "shippable",
    "statement_descriptor",
    "tax_code",
    "url",
];

pub fn create(world: &mut World, params: &Params) -> Result<Reply, ApiError> {
    let product = from(world, params)?;
    let shown = objects::product(&product);
    world.record(Fact::Product(product));
    Ok(Reply::new(shown))
}

/// A new product, not yet recorded.
pub fn from(world: &World, params: &Params) -> Result<Product, ApiError> {
    params.only(&[&KNOWN[..], &WITHOUT_EFFECT].concat())?;
    let given = params.owned("id")?;
    if let Some(id) = given.as_deref().filter(|id| world.products.get(id).is_some()) {
        let message = format!("Product already exists with id: {id}");
        return Err(ApiError::parameter("resource_already_exists", params.full("id"), message));
    }
    Ok(Product {
        name: params.required("name")?.to_owned(),
        id: given.unwrap_or_else(|| world.new_id("prod", &params.canonical())),
        created: world.now,
        active: params.boolean("active")?.unwrap_or(true),
        description: params.owned("description")?,
        unit_label: params.owned("unit_label")?,
        metadata: params.map("metadata")?,
    })
}

pub fn retrieve(world: &World, id: &str, params: &Params) -> Result<Reply, ApiError> {
    params.only(&[])?;
    let product = world.products.get(id).ok_or_else(|| ApiError::not_found("product", id))?;
    Ok(Reply::new(objects::product(product)))
}

pub fn list(world: &World, params: &Params) -> Result<Reply, ApiError> {
    params.only(&[&["active", "ids"][..], &lists::PAGE].concat())?;
    let (active, ids) = (params.boolean("active")?, params.texts("ids")?);
    let products: Vec<&Product> = world
        .products
        .newest_first()
        .filter(|one| active.is_none_or(|active| one.active == active))
        .filter(|one| ids.is_empty() || ids.contains(&one.id))
        .collect();
    let render = |one: &&Product| objects::product(one);
    let page =
        lists::page(world, params, "/v1/products", "product", &products, |one| one.id.clone(), render)?;
    Ok(Reply::new(page))
}
