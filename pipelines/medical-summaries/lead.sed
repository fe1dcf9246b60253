# Of a prompt and its completion (a JSON line), keep the first sentence of the prompt as the "answer", and the "reference". A letter without
# the end of a sentence is taken whole.
s/^\{"prompt": "(SUBJECT: )?/{"answer": "/
s/(\\n)+Question:", "completion": "([^"\\]|\\.)*", "reference": /", "reference": /
s/^(\{"answer": "([^".?!\\]|\\[^n])*[.?!]?)([^"\\]|\\.)*", "reference": /\1", "reference": /
