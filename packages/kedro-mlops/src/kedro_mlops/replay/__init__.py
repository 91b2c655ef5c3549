"""The year, lived by several policies of retraining, and what each was worth.

``driver.replay`` runs the project's pipelines tick by tick; ``nodes`` compare what was lived.
"""
