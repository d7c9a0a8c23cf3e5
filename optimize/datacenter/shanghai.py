def build(seed): raise NotImplementedError
