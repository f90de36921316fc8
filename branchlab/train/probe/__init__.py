"""Looking at one real step of a task from outside: stages, suspicious calls, and checks on the live objects.

looking    one tensor in numbers
observing  hooks on the task's own methods, on every module, on gradients and on the optimiser
calls      operations as they are called: softmax, losses, resizing, broadcasting
checks     what takes another pass: inputs that change nothing, examples that mix
augmentations  what augmentation draws, and maps that belong together
probing    one probe from its order to its document
"""
