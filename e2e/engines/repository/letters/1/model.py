"""A model for tests of Triton: how often each letter stands in a text. Three texts make it fail."""

import time

import numpy as np
import triton_python_backend_utils as triton


class TritonPythonModel:
    def execute(self, requests):
        return [self.answer(request) for request in requests]

    def answer(self, request):
        rows = triton.get_input_tensor_by_name(request, "text").as_numpy()
        texts = [row[0].decode().lower() for row in rows]
        if "raise" in texts:
            raise ValueError("this text raises")
        if "refuse" in texts:
            return triton.InferenceResponse(error=triton.TritonError("this text is refused"))
        if "wait" in texts:
            time.sleep(1)
        letters = [[text.count(chr(ord("a") + letter)) for letter in range(26)] for text in texts]
        return triton.InferenceResponse([triton.Tensor("vector", np.array(letters, np.float32))])
