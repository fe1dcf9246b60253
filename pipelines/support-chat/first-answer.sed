# Of a dialogue (a JSON line that ends with its messages), keep what comes before the assistant's first answer, and that answer
# as "reference".
s/(\{"role": "user", "content": "([^"\\]|\\.)*"\}), \{"role": "assistant", "content": "(([^"\\]|\\.)*)"\}.*$/\1], "reference": "\3"}/
