"""What limits of rates are made of: keys, costs, schedules, and how a group's and a route's become one list."""
