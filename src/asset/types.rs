//! The verbs of asset types.

use std::collections::HashMap;
use std::sync::Arc;

use super::store::{self, TypeRow};
use super::{AUTO, AssetError, AssetType, Assets, Extends, Key, Made, TypeDocument, TypeForm, constraint, invalid};
use crate::web::page::{self, Limit, Page};
use crate::web::problem::{FieldError, Problem};

/// The list of types, for its cursors.
const LIST: &str = "asset-types";
/// The list of a type's versions.
const VERSIONS: &str = "asset-type-versions";

impl Assets {
    /// Makes a type known, as its version 1. Doing so twice is no error as long as the same is
    /// said.
    pub async fn create_type(&self, key: &Key, form: TypeForm) -> Result<Made<Arc<AssetType>>, AssetError> {
        self.write_type(key, form, |newest, document| match newest {
            None => Ok(()),
            Some(newest) if newest.document == *document => Ok(()),
            Some(_) => Err(AssetError::Exists(key.to_string())),
        })
        .await
    }

    /// Says what a type is from now on: a new version, or the newest if that says the same.
    /// `allowed` may refuse after a look at the newest version.
    pub async fn put_type(
        &self,
        key: &Key,
        form: TypeForm,
        allowed: impl FnOnce(Option<&AssetType>) -> Result<(), AssetError>,
    ) -> Result<Made<Arc<AssetType>>, AssetError> {
        self.write_type(key, form, |newest, _| allowed(newest)).await
    }

    async fn write_type(
        &self,
        key: &Key,
        form: TypeForm,
        allowed: impl FnOnce(Option<&AssetType>, &TypeDocument) -> Result<(), AssetError>,
    ) -> Result<Made<Arc<AssetType>>, AssetError> {
        let parent = self.parent(key, form.extends.as_ref()).await?;
        let parent = parent.as_ref().map(|(extends, parent)| (extends.clone(), &parent.document));
        let document = TypeDocument::build(form, parent).map_err(AssetError::Invalid)?;
        let mut transaction = self.db.begin().await?;
        store::lock_type(&mut *transaction, key.as_str()).await?;
        let newest = store::version(&mut *transaction, key.as_str(), None).await?.map(TypeRow::complete);
        allowed(newest.as_ref(), &document)?;
        let version = match newest {
            Some(newest) if newest.document == document => return Ok(Made::Same(Arc::new(newest))),
            Some(newest) => newest.version + 1,
            None => 1,
        };
        if let Some(base) = document.base_model.as_deref().filter(|base| *base != AUTO)
            && !store::hold_base_model(&mut *transaction, base).await?
        {
            return Err(invalid("/base_model", format!("there is no base model {base}")));
        }
        let form = TypeForm::from(document);
        let row = store::insert_type(&mut *transaction, key.as_str(), version, &form, self.clock.now()).await?;
        transaction.commit().await?;
        let asset_type = Arc::new(row.complete());
        self.cache.keep_type(&asset_type);
        Ok(Made::New(asset_type))
    }

    /// The newest version of a type, or the one that is named.
    pub async fn version(&self, key: &str, version: Option<i32>) -> Result<Arc<AssetType>, AssetError> {
        let row = store::version(&self.db, key, version).await?;
        let row = row.ok_or_else(|| {
            let version = version.map(|version| format!(" in version {version}")).unwrap_or_default();
            AssetError::TypeNotFound(format!("{key}{version}"))
        })?;
        Ok(self.kept(row))
    }

    /// A page of types, each in its newest version, in the order of their keys.
    pub async fn list_types(&self, limit: Limit, cursor: Option<&str>) -> Result<Page<Arc<AssetType>>, Problem> {
        let after: Option<String> = cursor.map(|cursor| page::position(LIST, cursor)).transpose()?;
        let rows = store::newest_types(&self.db, after.as_deref(), limit.rows()).await?;
        let types = rows.into_iter().map(|row| self.kept(row)).collect();
        Ok(Page::of(LIST, types, limit, |of: &Arc<AssetType>| of.key.clone()))
    }

    /// A page of the versions of a type, newest first.
    pub async fn list_versions(
        &self,
        key: &str,
        limit: Limit,
        cursor: Option<&str>,
    ) -> Result<Page<Arc<AssetType>>, Problem> {
        let before: Option<i32> = cursor.map(|cursor| page::position(VERSIONS, cursor)).transpose()?;
        let rows = store::versions(&self.db, key, before, limit.rows()).await?;
        if rows.is_empty() {
            // Tells a type without further versions from no type at all.
            self.version(key, None).await?;
        }
        let types = rows.into_iter().map(|row| self.kept(row)).collect();
        Ok(Page::of(VERSIONS, types, limit, |of: &Arc<AssetType>| of.version))
    }

    /// Deletes a type in all its versions; says how many.
    pub async fn delete_type(&self, key: &str) -> Result<u64, AssetError> {
        match store::delete_type(&self.db, key).await {
            Ok(0) => Err(AssetError::TypeNotFound(key.to_owned())),
            Ok(versions) => Ok(versions),
            Err(error) if constraint(&error) == Some("asset_of_type") => Err(AssetError::TypeInUse(key.to_owned())),
            Err(error) => Err(error.into()),
        }
    }

    pub(super) async fn types_by_id(
        &self,
        ids: impl Iterator<Item = i64>,
    ) -> Result<HashMap<i64, Arc<AssetType>>, AssetError> {
        let mut found = HashMap::new();
        let mut missing = Vec::new();
        for id in ids {
            match self.cache.of_type(id) {
                Some(asset_type) => drop(found.insert(id, asset_type)),
                None => missing.push(id),
            }
        }
        if !missing.is_empty() {
            let rows = store::types_by_ids(&self.db, &missing).await?;
            found.extend(rows.into_iter().map(|row| (row.id, self.kept(row))));
        }
        Ok(found)
    }

    async fn parent(
        &self,
        key: &Key,
        extends: Option<&Extends>,
    ) -> Result<Option<(Extends, Arc<AssetType>)>, AssetError> {
        let Some(Extends { r#type, version }) = extends else { return Ok(None) };
        let refuse =
            |detail: String| AssetError::Invalid(vec![FieldError { pointer: "/extends/type".to_owned(), detail }]);
        if r#type == key {
            return Err(refuse("is the type itself".to_owned()));
        }
        let parent = self.version(r#type.as_str(), *version).await.map_err(|error| match error {
            AssetError::TypeNotFound(name) => refuse(format!("there is no asset type {name}")),
            other => other,
        })?;
        let extends = Extends { r#type: r#type.clone(), version: Some(parent.version) };
        Ok(Some((extends, parent)))
    }

    /// The type that a row holds, from the cache if it is there.
    fn kept(&self, row: TypeRow) -> Arc<AssetType> {
        self.cache.of_type(row.id).unwrap_or_else(|| {
            let asset_type = Arc::new(row.complete());
            self.cache.keep_type(&asset_type);
            asset_type
        })
    }
}
