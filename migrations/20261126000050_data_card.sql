-- What a version learned from, so that it can be told later.
alter table model_version add column data_card jsonb;
comment on column model_version.data_card is 'Frames, span, values by QARTOD flag and what was left out of each signal, windows of each part; null for versions older than this column.';
