-- The freeze policy that was called head lets head and decoder learn, and is called decoder; head is the last layer alone.
update model_version set recipe = jsonb_set(recipe, '{freeze}', '"decoder"') where recipe ->> 'freeze' = 'head';

update model_version set search = replace(search::text, '"freeze": "head"', '"freeze": "decoder"')::jsonb
 where search is not null;

update fine_tune_job set recipe = jsonb_set(recipe, '{freeze}', '"decoder"') where recipe ->> 'freeze' = 'head';
