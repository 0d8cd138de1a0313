-- The freeze policy that was called head, and was the default where none is named, lets head and decoder learn, and is
-- called so; head is the last layer alone.
update model_version set recipe = jsonb_set(recipe, '{freeze}', '"decoder"')
 where recipe is not null and jsonb_typeof(recipe) = 'object' and coalesce(recipe ->> 'freeze', 'head') = 'head';

update model_version set search = replace(search::text, '"freeze": "head"', '"freeze": "decoder"')::jsonb
 where search is not null;

update fine_tune_job set recipe = jsonb_set(recipe, '{freeze}', '"decoder"') where recipe ->> 'freeze' = 'head';
