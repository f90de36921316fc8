"""What a probe means: findings in sentences, and where two probes first differ.

findings   all rules, in the order in which a reader wants to hear of them
on_data    what is stored, prepared, augmented; labels; what validation shares with training
on_model   modules, the loss
on_calls   operations as they are called
on_update  gradients and weights
reading    small readers of stages that the rules share
"""
