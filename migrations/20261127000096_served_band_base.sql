-- Bands that were followed for one base model say nothing about another one that the asset's type names later.
alter table served_band add column base text;
comment on table served_band is 'Adaptive calibration: served forecasts that came true were compared with what happened. A row counts only for the version, or without one for the base model, that it names; another one begins anew.';
comment on column served_band.base is 'Name of the base model that answered, the version''s own where there is one; null in rows from before this was kept, which count for whichever serves until the next comparison.';
