-- How honest the served bands turned out to be, and how far they have been moved for it.
create table served_band (
    asset_id int8 primary key references asset (id) on delete cascade,
    model_id uuid,
    due_at timestamptz not null,
    tracks jsonb not null,
    changed_at timestamptz not null
);
comment on table served_band is 'Adaptive calibration: served forecasts that came true were compared with what happened. A row counts only for the version that it names; another version begins anew.';
comment on column served_band.asset_id is 'The asset that is served.';
comment on column served_band.model_id is 'The version whose forecasts were compared; null for the base model.';
comment on column served_band.due_at is 'Forecasts made before this instant are done with: compared, or too near one that was.';
comment on column served_band.tracks is 'Per output and block of 16 steps: the logarithm of the factor on the band, and how many truths it held of how many.';
comment on column served_band.changed_at is 'When a forecast was last compared.';
