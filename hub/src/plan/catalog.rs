//! The only catalog of a session: the project, with its controllers as schemas and their offers as tables.
//!
//! INVARIANT: what no controller offers to this project, user and zone does not exist.

use super::{national::NationalTable, table::SpokeTable};
use crate::{
    registry::{Catalogue, Links, Offer, TableOffer},
    request::RequestContext,
};
use async_trait::async_trait;
use datafusion::{
    catalog::{CatalogProvider, CatalogProviderList, SchemaProvider, TableProvider},
    common::DataFusionError,
};
use proto::ids::TableName;
use std::{collections::BTreeMap, sync::Arc};

/// A list of exactly one catalog.
#[derive(Debug)]
pub(super) struct OneProject {
    name: String,
    catalog: Arc<ProjectCatalog>,
}

#[derive(Debug)]
struct ProjectCatalog(BTreeMap<String, Arc<ControllerSchema>>);

#[derive(Debug)]
struct ControllerSchema {
    offer: Offer,
    links: Arc<Links>,
    context: Arc<RequestContext>,
}

impl OneProject {
    pub(super) fn new(catalogue: &Catalogue, links: &Arc<Links>, context: &Arc<RequestContext>) -> Self {
        let schemas = catalogue
            .offers
            .iter()
            .filter(|(_, offer)| !matches!(offer, Offer::Nothing))
            .map(|(controller, offer)| {
                let schema =
                    ControllerSchema { offer: offer.clone(), links: Arc::clone(links), context: Arc::clone(context) };
                (controller.to_string(), Arc::new(schema))
            })
            .collect();
        Self { name: catalogue.project.to_string(), catalog: Arc::new(ProjectCatalog(schemas)) }
    }
}

impl CatalogProviderList for OneProject {
    fn register_catalog(&self, _: String, _: Arc<dyn CatalogProvider>) -> Option<Arc<dyn CatalogProvider>> {
        None
    }

    fn catalog_names(&self) -> Vec<String> {
        vec![self.name.clone()]
    }

    fn catalog(&self, name: &str) -> Option<Arc<dyn CatalogProvider>> {
        (name == self.name).then(|| Arc::clone(&self.catalog) as Arc<dyn CatalogProvider>)
    }
}

impl CatalogProvider for ProjectCatalog {
    fn schema_names(&self) -> Vec<String> {
        self.0.keys().cloned().collect()
    }

    fn schema(&self, name: &str) -> Option<Arc<dyn SchemaProvider>> {
        self.0.get(name).map(|schema| Arc::clone(schema) as Arc<dyn SchemaProvider>)
    }
}

#[async_trait]
impl SchemaProvider for ControllerSchema {
    fn table_names(&self) -> Vec<String> {
        match &self.offer {
            Offer::Tables(tables) => tables.keys().map(ToString::to_string).collect(),
            Offer::Nothing | Offer::Down(_) => Vec::new(),
        }
    }

    async fn table(&self, name: &str) -> Result<Option<Arc<dyn TableProvider>>, DataFusionError> {
        match &self.offer {
            Offer::Tables(tables) => Ok(named(tables, name).map(|offer| {
                let (links, context) = (Arc::clone(&self.links), Arc::clone(&self.context));
                if offer.parts.is_empty() {
                    Arc::new(SpokeTable::new(Arc::clone(offer), links, context)) as Arc<dyn TableProvider>
                } else {
                    Arc::new(NationalTable::new(Arc::clone(offer), links, context)) as Arc<dyn TableProvider>
                }
            })),
            Offer::Nothing => Ok(None),
            Offer::Down(refusal) => Err(DataFusionError::External(Box::new(refusal.clone()))),
        }
    }

    fn table_exist(&self, name: &str) -> bool {
        match &self.offer {
            Offer::Tables(tables) => named(tables, name).is_some(),
            Offer::Nothing | Offer::Down(_) => false,
        }
    }
}

fn named<'a>(tables: &'a BTreeMap<TableName, Arc<TableOffer>>, name: &str) -> Option<&'a Arc<TableOffer>> {
    tables.get(&name.parse::<TableName>().ok()?)
}
