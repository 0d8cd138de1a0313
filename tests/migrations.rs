//! The migrations: they apply to an empty database, say what everything is, and make the frames'
//! table what the storage design promises.

use counterpart::db::{MIGRATIONS, fixture};

#[tokio::test]
async fn they_apply_to_an_empty_database_and_only_once() {
    let fixture = fixture::empty().await;
    MIGRATIONS.run(&fixture.pool).await.unwrap();
    MIGRATIONS.run(&fixture.pool).await.unwrap();
    let applied: i64 = sqlx::query_scalar("select count(*) from _sqlx_migrations where success")
        .fetch_one(&fixture.pool)
        .await
        .unwrap();
    assert_eq!(usize::try_from(applied).unwrap(), MIGRATIONS.iter().count());
}

#[tokio::test]
async fn what_was_called_head_is_called_decoder_wherever_it_is_stored() {
    let fixture = fixture::empty().await;
    let renames = 20_261_128_000_097;
    for migration in MIGRATIONS.iter().filter(|migration| migration.version < renames) {
        sqlx::raw_sql(migration.sql.clone()).execute(&fixture.pool).await.unwrap();
    }
    // A version each that learned as the name says, otherwise, and as nobody said; jobs that asked for the same.
    sqlx::raw_sql(
        r#"insert into asset_type (key, version, document, created_at) values ('tank', 1, '{"signals": []}', now());
        insert into asset (key, asset_type_id, created_at, updated_at) select 'tank-1', id, now(), now() from asset_type;
        create temporary table said (place int, recipe jsonb, search jsonb);
        insert into said values (1, '{"freeze": "head", "seed": 1}', '{"trials": [{"freeze": "head"}, {"freeze": "all"}]}'),
            (2, '{"freeze": "last_block", "seed": 2}', null), (3, '{"seed": 3}', null);
        insert into model_version (id, asset_id, version, job_id, base, weights, sha256, recipe, calibration, scores, curve,
                promoted, reason, created_at, search)
            select gen_random_uuid(), asset.id, place, gen_random_uuid(), 'small-2', '', '', recipe, '{}', '{}', '[]', true,
                'it is better', now(), search
            from asset, said;
        insert into fine_tune_job (id, asset_id, status, cause, recipe, run_after, created_at, updated_at)
            select gen_random_uuid(), asset.id, 'succeeded', 'request', recipe, now(), now(), now() from asset, said;"#,
    )
    .execute(&fixture.pool)
    .await
    .unwrap();
    let migration = MIGRATIONS.iter().find(|migration| migration.version == renames).unwrap();
    sqlx::raw_sql(migration.sql.clone()).execute(&fixture.pool).await.unwrap();

    let said = [Some("decoder"), Some("last_block"), None].map(|word| word.map(str::to_owned));
    for table in ["model_version", "fine_tune_job"] {
        let found: Vec<Option<String>> = sqlx::query_scalar(sqlx::AssertSqlSafe(format!(
            "select recipe ->> 'freeze' from {table} order by recipe -> 'seed'"
        )))
        .fetch_all(&fixture.pool)
        .await
        .unwrap();
        assert_eq!(found, said, "{table}");
    }
    let searched: serde_json::Value = sqlx::query_scalar("select search from model_version where search is not null")
        .fetch_one(&fixture.pool)
        .await
        .unwrap();
    assert_eq!(searched, serde_json::json!({"trials": [{"freeze": "decoder"}, {"freeze": "all"}]}));
}

/// Tables and views, and columns of tables, that no comment explains.
const WITHOUT_A_COMMENT: &str = "
    select c.relname || coalesce('.' || a.attname, '')
    from pg_class c
    left join pg_attribute a on a.attrelid = c.oid and a.attnum > 0 and not a.attisdropped and c.relkind <> 'v'
    where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p', 'v') and not c.relispartition
        and c.relname <> '_sqlx_migrations'
        and (obj_description(c.oid) is null or a.attnum is not null and col_description(c.oid, a.attnum) is null)
    order by c.relname, a.attnum";

#[tokio::test]
async fn every_table_and_column_is_commented() {
    let fixture = fixture::fresh().await;
    let silent: Vec<String> = sqlx::query_scalar(WITHOUT_A_COMMENT).fetch_all(&fixture.pool).await.unwrap();
    assert!(silent.is_empty(), "add a phrase in the migration: {silent:?}");

    sqlx::query("create table note (id int8)").execute(&fixture.pool).await.unwrap();
    let caught: Vec<String> = sqlx::query_scalar(WITHOUT_A_COMMENT).fetch_all(&fixture.pool).await.unwrap();
    assert_eq!(caught, ["note.id"]);
}

#[tokio::test]
async fn frames_land_in_partitions() {
    let fixture = fixture::fresh().await;
    let kind: String =
        sqlx::query_scalar("select pg_get_partkeydef('frame'::regclass)").fetch_one(&fixture.pool).await.unwrap();
    assert_eq!(kind, "RANGE (observed_at)");
    let insert = "insert into frame (asset_id, observed_at, values, received_at)
        values (1, '2026-11-24T10:00:00Z', '{1.5,null}', now())";
    // No default partition: a frame outside all partitions is refused, never hidden in a big table.
    let homeless = sqlx::query(insert).execute(&fixture.pool).await.unwrap_err();
    assert_eq!(homeless.as_database_error().unwrap().code().unwrap(), "23514");
    sqlx::query("create table frame_20261124 partition of frame for values from ('2026-11-24') to ('2026-11-25')")
        .execute(&fixture.pool)
        .await
        .unwrap();
    sqlx::query(insert).execute(&fixture.pool).await.unwrap();
    let home: String =
        sqlx::query_scalar("select tableoid::regclass::text from frame").fetch_one(&fixture.pool).await.unwrap();
    assert_eq!(home, "frame_20261124");
}

#[tokio::test]
async fn the_view_shows_one_row_per_reading() {
    let fixture = fixture::fresh().await;
    sqlx::raw_sql(
        r#"insert into asset_type (key, version, document, created_at)
            values ('tank', 1, '{"signals": [{"name": "level"}, {"name": "flow"}]}', now());
        insert into asset (key, asset_type_id, created_at, updated_at) select 'tank-1', id, now(), now() from asset_type;
        create table frame_20261124 partition of frame for values from ('2026-11-24') to ('2026-11-25');
        insert into frame (asset_id, observed_at, values, quality, received_at)
            select id, '2026-11-24T10:00:00Z'::timestamptz, '{1.5,2.5}'::float8[], '{0,1}'::int2[], now() from asset
            union all select id, '2026-11-24T10:00:01Z', '{null,3.5}', null::int2[], now() from asset;"#,
    )
    .execute(&fixture.pool)
    .await
    .unwrap();
    let rows: Vec<(String, String, f64, i16)> =
        sqlx::query_as("select asset, signal, value, quality from reading order by observed_at, signal desc")
            .fetch_all(&fixture.pool)
            .await
            .unwrap();
    let expected = [("level", 1.5, 0), ("flow", 2.5, 1), ("flow", 3.5, 0)];
    let expected: Vec<_> = expected.iter().map(|(s, v, q)| ("tank-1".to_owned(), (*s).to_owned(), *v, *q)).collect();
    assert_eq!(rows, expected);
}
