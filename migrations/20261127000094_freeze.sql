-- A version may have learned more than a head: the bytes then carry that as well.
comment on column model_version.weights is 'The head as safetensors (head.*), with what was attached to it. Where the recipe let more learn also that: tensors in the place of the base model''s backbone (backbone.*), or low-rank changes of its weights (adapter.*).';
comment on column model_version.base is 'Name of the base model whose backbone the head belongs to, or from which the version''s own backbone was learned.';
comment on column model_version.recipe is 'Learning rate, steps, regularisation, seed and what of the network learned (freeze).';
