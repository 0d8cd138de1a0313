-- What was said at an instant is found however many vintages there are.
create index prediction_by_state on prediction (asset_id, state_at, id);
