"""Load: shoppers who look and shoppers who buy, arriving at a rate, however long answers take."""
