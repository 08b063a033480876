"""What the server tells its operator of itself: metrics, and traces where they are wanted. No word of any user."""
